package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// mirror makes a folder equal to another: content, times and modes. Files that
// are of the same size and time are left alone, compiled modules stay where
// the other folder has the folder around them.
func mirror(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	err := filepath.WalkDir(to, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == to {
			return err
		}
		rel, _ := filepath.Rel(to, p)
		if d.Name() == "__pycache__" {
			return filepath.SkipDir
		}
		other, err := os.Lstat(filepath.Join(from, rel))
		if errors.Is(err, fs.ErrNotExist) || err == nil && other.Mode().Type() != d.Type() {
			if err := os.RemoveAll(p); err != nil {
				return err
			}
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == from {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		target := filepath.Join(to, rel)
		if d.Name() == "__pycache__" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			_ = os.Remove(target)
			return os.Symlink(to, target)
		case !d.Type().IsRegular():
			return nil
		}
		if old, err := os.Lstat(target); err == nil && old.Size() == info.Size() && old.ModTime().Equal(info.ModTime()) {
			return nil
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(target, content, info.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(target, info.ModTime(), info.ModTime())
	})
}
