import os, sys, pytest
def test_bytes(): os.write(1, b"\xff\xfe raw \x00\n"); sys.stdout.buffer.write(b"\xff"); assert 0
def test_big(): os.write(1, b"x" * 2 * 1024 * 1024); assert 0
@pytest.mark.parametrize("v", ["é", "\ud800", "a\nb", "\x1b[31m"])
def test_ids(v): print(v.encode("utf-8", "replace")); assert v == 1
def test_cwd(tmp_path): os.chdir(tmp_path); os.rmdir(tmp_path)
def test_after(): assert 1
def test_rlimit():
    import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def test_after2(): open(__file__).close()
def test_fork():
    pid = os.fork()
    if pid == 0:
        assert 0
    os.waitpid(pid, 0)
def test_modules():
    import sys as s; saved = dict(s.modules); s.modules.clear(); s.modules.update(saved)
def test_last(): pass
