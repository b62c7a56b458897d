import os, signal, pytest, sys
def test_before(): pass
def test_fail(): print("hello"); assert 0
def test_exit(): print("last words"); os._exit(3)
def test_between(): pass
def test_segv(): os.kill(os.getpid(), signal.SIGSEGV)
@pytest.fixture
def bad(): os._exit(4)
def test_setup(bad): pass
@pytest.fixture
def badt():
    yield
    os._exit(5)
def test_td(badt): pass
def test_exit_code(): sys.exit(3)
def test_after(): pass
