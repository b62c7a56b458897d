package kin

/*
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DX_GUARD "dx-py-guard"

int prlimit(pid_t, int, const struct rlimit *, struct rlimit *); // declared for _GNU_SOURCE only

// A process that has ended, and whose parent has not asked for it, stays.
static int dx_running(const char *pid) {
	char path[64], text[512], *end;
	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	end = strrchr(text, ')');
	return end && end[1] && end[2] != 'Z' && end[2] != 'X';
}

// Ends all that have a mark; returns how many there were.
static int dx_sweep(unsigned long long mark, unsigned long long mask) {
	int found = 0;
	DIR *dir = opendir("/proc");
	if (!dir)
		return 0;
	for (struct dirent *e; (e = readdir(dir));) {
		struct rlimit limit;
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		pid_t pid = atoi(e->d_name);
		if (prlimit(pid, RLIMIT_LOCKS, NULL, &limit) || ((limit.rlim_cur ^ mark) & ~mask) || !dx_running(e->d_name))
			continue;
		kill(pid, SIGKILL);
		found++;
	}
	closedir(dir);
	return found;
}

// Where the program was started as a guard, this is all of it: Go's runtime,
// with its 5 ms and its threads, does not start. 2,000 rounds are some seconds,
// for those that fork while others are ended.
__attribute__((constructor)) static void dx_guard(int argc, char **argv) {
	if (argc != 3 || strcmp(argv[0], DX_GUARD))
		return;
	for (int s = 1; s < 32; s++)
		signal(s, SIG_IGN);
	unsigned long long mark = strtoull(argv[1], NULL, 16), mask = strtoull(argv[2], NULL, 16);
	char c;
	ssize_t n;
	while ((n = read(0, &c, 1)) < 0 && errno == EINTR)
		;
	if (n == 0) // nobody has said that all has ended
		for (int i = 0; i < 2000 && dx_sweep(mark, mask); i++)
			usleep(1000);
	_exit(0);
}
*/
import "C"

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Guard is a process that ends a family when this process ends without a word.
type Guard struct {
	cmd  *exec.Cmd
	hold *os.File
}

// NewGuard starts one; Release it when the family has ended. It is this
// program again, test binaries too, in another session: signals from a
// terminal do not reach it.
func NewGuard(m Mark) (*Guard, error) {
	wait, hold, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a guard's pipe: %w", err)
	}
	defer wait.Close()
	g := &Guard{hold: hold, cmd: &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{C.DX_GUARD, strconv.FormatUint(uint64(m), 16), strconv.FormatUint(uint64(Family), 16)},
		Dir: "/", Env: []string{}, Stdin: wait, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}}
	if err := g.cmd.Start(); err != nil {
		hold.Close()
		return nil, fmt.Errorf("starting a guard: %w", err)
	}
	return g, nil
}

// Release ends the guard; nil has none.
func (g *Guard) Release() {
	if g == nil {
		return
	}
	_, _ = g.hold.Write([]byte{1})
	g.hold.Close()
	_ = g.cmd.Wait()
}
