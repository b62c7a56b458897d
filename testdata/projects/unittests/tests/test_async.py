import asyncio
import unittest


class Async(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.event = asyncio.Event()

    async def test_passes(self):
        self.event.set()
        await self.event.wait()

    async def test_fails(self):
        await asyncio.sleep(0)
        self.assertFalse(True)

    async def asyncTearDown(self):
        self.event.clear()
