import asyncio, os, random, time
import pytest
from hypothesis import given, strategies as st
from pkg.mod import add
def test_cov(): assert add(0, 1) == 1
def test_mock(mocker):
    m = mocker.patch("os.getcwd", return_value="x"); assert os.getcwd() == "x"
@pytest.mark.asyncio
async def test_async(): await asyncio.sleep(0); assert True
@pytest.mark.anyio
async def test_any(): pass
@pytest.fixture
def anyio_backend(): return "asyncio"
@given(st.integers())
def test_hyp(x): assert add(x, 0) == x
@pytest.mark.timeout(0.3)
def test_timeout(): time.sleep(5)
n = [0]
@pytest.mark.flaky(reruns=2)
def test_rerun():
    n[0] += 1; assert n[0] == 2
def test_bench(benchmark): benchmark.pedantic(lambda: 1, rounds=2)
def test_worker(worker_id): print(worker_id); assert worker_id
def test_fail(): assert 0
