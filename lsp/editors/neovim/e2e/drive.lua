-- Attach, lenses, a run, diagnostics, a fix, an unsaved edit, cancel, a server
-- that is killed. DX_MODE=plain has the configuration of README.md only.
local mode = vim.env.DX_MODE
local checks = 0

local function fail(what, got)
  io.stdout:write("FAILED " .. what .. ": " .. vim.inspect(got) .. "\n" .. vim.api.nvim_exec2("messages", { output = true }).output .. "\n")
  vim.cmd("cq")
end

-- eventually waits until get() is as wanted: an event that comes is all it
-- waits for.
local function eventually(what, get, want)
  local got
  local ok = vim.wait(20000, function()
    got = get()
    return type(want) == "function" and want(got) or vim.deep_equal(got, want)
  end, 10)
  if not ok then
    fail(what, got)
  end
  checks = checks + 1
  io.stdout:write("ok " .. what .. "\n")
end

local init = { trusted = true, python = vim.env.DX_PYTHON }
local cmd = { vim.env.DX_BINARY, "--stdio" }
if mode == "plugin" then
  require("dx_py").setup({ cmd = cmd, trusted = true, settings = { python = vim.env.DX_PYTHON } })
else
  local config = { name = "dx_py_ls", cmd = cmd, filetypes = { "python" }, root_markers = { "pytest.ini" }, init_options = init }
  if vim.lsp.config then
    vim.lsp.config("dx_py_ls", config)
    vim.lsp.enable("dx_py_ls")
  else
    vim.api.nvim_create_autocmd("FileType", { pattern = "python", callback = function()
      config.root_dir = vim.fn.getcwd()
      vim.lsp.start(config)
    end })
  end
end

vim.cmd("filetype on")
vim.cmd("edit test_shop.py")
if vim.bo.filetype ~= "python" then
  vim.bo.filetype = "python"
end

local function client()
  return vim.lsp.get_clients({ name = "dx_py_ls", bufnr = 0 })[1]
end
eventually("attach", function()
  return client() ~= nil and client().initialized == true
end, true)

local function request(method, params)
  local r = client() and (vim.fn.has("nvim-0.11") == 1 and client():request_sync(method, params, 10000, 0) or vim.fn.has("nvim-0.11") == 0 and client().request_sync(method, params, 10000, 0))
  return r and r.result
end

-- refresh asks for lenses as a user of plain Neovim does, by autocmd.
local function refresh()
  if vim.lsp.codelens.enable then
    vim.lsp.codelens.enable(true, { bufnr = 0 })
  else
    vim.lsp.codelens.refresh({ bufnr = 0 })
  end
end

-- lenses are what Neovim keeps: "line: title"; those for what is due stand apart.
local affected = 0
local function lenses()
  local out = {}
  affected = 0
  local list = vim.lsp.codelens.enable and vim.lsp.codelens.get({ bufnr = 0 }) or vim.lsp.codelens.get(0)
  for _, l in ipairs(list) do
    local lens = l.lens or l
    local title = (lens.command or {}).title or ""
    if title == "Run affected" then
      affected = affected + 1
    else
      out[#out + 1] = (lens.range.start.line + 1) .. ": " .. title
    end
  end
  table.sort(out, function(a, b)
    return tonumber(a:match("^%d+")) < tonumber(b:match("^%d+"))
  end)
  return out
end

local function freshLenses()
  if not vim.lsp.codelens.enable then
    refresh()
    vim.wait(50)
  end
  return lenses()
end

refresh()
eventually("lenses with titles", freshLenses, { "1: Run 4", "11: Run 2", "15: Run", "19: Run" })

-- the titles are on the screen
eventually("lenses are drawn", function()
  vim.cmd("redraw!") -- 0.12 puts them there when a window is drawn
  for _, ns in pairs(vim.api.nvim_get_namespaces()) do
    for _, m in ipairs(vim.api.nvim_buf_get_extmarks(0, ns, 0, -1, { details = true })) do
      local chunks = vim.deepcopy(m[4].virt_text or {})
      for _, line in ipairs(m[4].virt_lines or {}) do
        vim.list_extend(chunks, line)
      end
      for _, chunk in ipairs(chunks) do
        if chunk[1]:find("Run 2", 1, true) then
          return true
        end
      end
    end
  end
  return false
end, true)

local function diagnostics()
  local out = {}
  for _, d in ipairs(vim.diagnostic.get(0)) do
    out[#out + 1] = (d.lnum + 1) .. ": " .. d.message:match("^[^\n]*")
  end
  table.sort(out)
  return out
end

-- run the lens at the cursor
vim.api.nvim_win_set_cursor(0, { 11, 0 })
vim.lsp.codelens.run()
eventually("the failure stands at its line", diagnostics, { "12: test_total[prices1-1]: assert 0 == 1" })
eventually("the lens shows the failure", freshLenses, function(l)
  return l[2] == "11: ✗ 1 of 2 failed | Run 2"
end)
eventually("what is due has a lens", function()
  freshLenses()
  return affected
end, 1)
if mode == "plugin" then
  local signs = require("dx_py.signs")
  eventually("a sign beside it", function()
    return signs.of(0)
  end, { [11] = "✗" })
  vim.api.nvim_win_set_cursor(0, { 15, 0 })
  vim.cmd("DxPyRun")
  eventually("the sign of a test that passed", function()
    return signs.of(0)
  end, { [11] = "✗", [15] = "✓" })
  eventually("its output was kept", function()
    local run = require("dx_py").runs[require("dx_py").last]
    return run.output
  end, function(text)
    return text:find("all is fine", 1, true) ~= nil
  end)
  local notify, noticed = vim.notify, ""
  vim.notify = function(text)
    noticed = text
  end
  vim.lsp.commands["dx-py.debugTest"]({ command = "dx-py.debugTest", arguments = { { uri = vim.uri_from_bufnr(0), line = 14 } } })
  eventually("it says that there is no nvim-dap", function()
    return noticed:find("nvim-dap", 1, true) ~= nil
  end, true)
  vim.cmd("DxPyCovered")
  eventually("it says that coverage is not known", function()
    return noticed:find("with coverage first", 1, true) ~= nil
  end, true)
  local attached
  package.loaded.dap = { adapters = {}, run = function(config)
    attached = config
  end }
  if vim.env.DX_DEBUGPY == "1" then
    vim.cmd("DxPyDebug")
    eventually("nvim-dap is to attach", function()
      return attached ~= nil and attached.type == "dx_py" and attached.connect.host == "127.0.0.1" and attached.connect.port > 0
    end, true)
    vim.cmd("DxPyCancel")
    eventually("a run that waits for a debugger is cancelled", function()
      local run = require("dx_py").runs[require("dx_py").last]
      return run.ended and run.ended.outcome
    end, "cancelled")
  end
  package.loaded.dap = nil
  vim.notify = notify
  vim.cmd("checkhealth dx_py")
  local report = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  if not report:find("server test", 1, true) and not report:find("runs for", 1, true) or report:find("ERROR") then
    fail("checkhealth", report)
  end
  vim.cmd("bwipeout!")
  vim.cmd("buffer test_shop.py")
end

-- fix it, save, run again
vim.api.nvim_buf_set_text(0, 9, 0, 9, -1, { '@pytest.mark.parametrize("prices, want", [([1, 2], 3), ([], 0)])' })
vim.cmd("silent write")
vim.api.nvim_win_set_cursor(0, { 11, 0 })
eventually("the lens is stale", freshLenses, function(l)
  return l[2] == "11: ✗ 1 of 2 failed before the edit | Run 2"
end)
vim.lsp.codelens.run()
eventually("the diagnostic goes away when it is fixed", diagnostics, {})
eventually("the lens shows that it passes", freshLenses, function(l)
  return l[2] ~= nil and l[2]:find("^11: ✓ .* | Run 2$") ~= nil
end)

-- an unsaved edit moves the lenses
vim.api.nvim_buf_set_lines(0, 0, 0, false, { "# one", "# two" })
eventually("an unsaved edit moves the lens", freshLenses, function(l)
  return l[2] ~= nil and l[2]:find("^13: ") ~= nil and l[4]:find("^21: ") ~= nil
end)
vim.api.nvim_buf_set_lines(0, 0, 2, false, {})
vim.cmd("silent write")

-- cancel
eventually("lenses are back", freshLenses, function(l)
  return l[4] ~= nil and l[4]:find("^19: ") ~= nil
end)
vim.fn.system({ "mkfifo", "started" })
vim.api.nvim_win_set_cursor(0, { 19, 0 })
local started = false
vim.fn.jobstart({ "cat", "started" }, { on_exit = function()
  started = true
end })
vim.lsp.codelens.run()
eventually("a slow test runs", function()
  return started
end, true)
eventually("its lens says so", freshLenses, function(l)
  return l[4] == "19: … | Run"
end)
if mode == "plugin" then
  eventually("its sign says so", function()
    return require("dx_py.signs").of(0)[19]
  end, "▸")
  vim.cmd("DxPyCancel")
else
  request("workspace/executeCommand", { command = "dx-py.server.cancel" })
end
eventually("it is cancelled", freshLenses, function(l)
  return l[4] == "19: Run"
end)

-- the resident process is killed: nobody notices
local resident = tonumber(vim.fn.system({ vim.env.DX_BINARY, "--cli", "daemon" }):match("^process (%d+), .* 1 editor,"))
if not resident then
  fail("the resident process", vim.fn.system({ vim.env.DX_BINARY, "--cli", "daemon" }))
end
local before = client().id
vim.api.nvim_buf_set_lines(0, 0, 0, false, { "# one" })
vim.uv.kill(resident, "sigkill")
vim.api.nvim_buf_set_lines(0, 0, 0, false, { "# two" })
eventually("lenses of the buffer though the resident process is gone", freshLenses, function(l)
  return l[4] ~= nil and l[4]:find("^21: ") ~= nil
end)
if not client() or client().id ~= before then
  fail("another client", client())
end
vim.api.nvim_buf_set_lines(0, 0, 2, false, {})
vim.cmd("silent write")

-- a server that is killed, and a new one
local old = client()
local pid
for _, p in ipairs(vim.api.nvim_get_proc_children(vim.fn.getpid())) do
  local info = vim.api.nvim_get_proc(p)
  if info and info.name:find("dx%-py") then
    pid = p
  end
end
if not pid then
  fail("the server's process", vim.api.nvim_get_proc_children(vim.fn.getpid()))
end
vim.uv.kill(pid, "sigkill")
eventually("Neovim sees that the server is gone", function()
  return vim.lsp.get_client_by_id(old.id) == nil
end, true)
vim.cmd("silent edit!")
vim.bo.filetype = "python"
eventually("a new server attaches", function()
  return client() ~= nil and client().id ~= old.id and client().initialized == true
end, true)
refresh()
eventually("its lenses", freshLenses, function(l)
  return #l == 4 and l[4] == "19: Run" and l[1]:find("Run 4$") ~= nil
end)

-- nothing is left behind
for _, c in ipairs(vim.lsp.get_clients()) do
  if vim.fn.has("nvim-0.11") == 1 then
    c:stop()
  else
    c.stop()
  end
end
eventually("the server ends", function()
  return #vim.lsp.get_clients()
end, 0)
io.stdout:write(checks .. " checks\n")
vim.cmd("qa!")
