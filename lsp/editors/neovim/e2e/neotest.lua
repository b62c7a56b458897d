-- The adapter under neotest itself, whose plugins are in DX_NEOTEST_DIR.
local function fail(what, got)
  io.stdout:write("FAILED " .. what .. ": " .. vim.inspect(got) .. "\n" .. vim.api.nvim_exec2("messages", { output = true }).output .. "\n")
  vim.cmd("cq")
end

for _, name in ipairs({ "plenary.nvim", "nvim-nio", "neotest" }) do
  vim.opt.rtp:append(vim.env.DX_NEOTEST_DIR .. "/" .. name)
end
require("dx_py").setup({ cmd = { vim.env.DX_BINARY, "--stdio" }, trusted = true, settings = { python = vim.env.DX_PYTHON } })
local neotest = require("neotest")
neotest.setup({ adapters = { require("dx_py.neotest") }, discovery = { concurrent = 1 } })
vim.cmd("filetype on")
vim.cmd("edit test_shop.py")
local path = vim.api.nvim_buf_get_name(0)
local adapter = "dx-py:" .. vim.fs.dirname(path)

local function eventually(what, get, want)
  local got
  local ok = vim.wait(20000, function()
    got = get()
    return vim.deep_equal(got, want)
  end, 20)
  if not ok then
    fail(what, got)
  end
  io.stdout:write("ok " .. what .. "\n")
end

local results = {}
local client
neotest.setup({
  adapters = { require("dx_py.neotest") },
  consumers = { e2e = function(c)
    client = c
    c.listeners.results = function(_, some)
      for id, r in pairs(some) do
        results[id:sub(#path + 1)] = r
      end
    end
    return {}
  end },
})

local function positions()
  local out = {}
  require("nio").run(function()
    local tree = client:get_position(path, { adapter = adapter })
    for _, p in tree and tree:iter() or function() end do
      out[#out + 1] = p.type .. " " .. p.id:sub(#path + 1)
    end
  end)
  vim.wait(100, function()
    return #out > 0
  end)
  table.sort(out)
  return out
end
eventually("positions", positions, {
  "file ", "test ::test_fine", "test ::test_slow", "test ::test_total", "test ::test_total[prices0-3]", "test ::test_total[prices1-1]",
})
local function statuses()
  local out = {}
  for id, r in pairs(results) do
    out[id] = r.status
  end
  return out
end
vim.api.nvim_win_set_cursor(0, { 11, 0 })
neotest.run.run()
eventually("results of the test at the cursor", statuses, {
  ["::test_total"] = "failed", ["::test_total[prices0-3]"] = "passed", ["::test_total[prices1-1]"] = "failed",
})
local e = results["::test_total[prices1-1]"].errors[1]
if not e or e.line ~= 11 or not e.message:find("assert 0 == 1", 1, true) then
  fail("the error", e)
end
results = {}
vim.fn.system({ "mkfifo", "started" })
local started = false
vim.fn.jobstart({ "cat", "started" }, { on_exit = function()
  started = true
end })
neotest.run.run(path)
eventually("a slow test runs", function()
  return started
end, true)
eventually("results are streamed", function()
  return statuses()["::test_fine"]
end, "passed")
neotest.run.stop(path)
eventually("it is stopped", function()
  return statuses()["::test_slow"]
end, "skipped")
vim.cmd("qa!")
