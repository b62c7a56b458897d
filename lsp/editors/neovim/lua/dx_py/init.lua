-- dx-py-ls in Neovim 0.10 and newer: the server, signs beside tests, commands.
--
--   require("dx_py").setup({ trusted = true })
--
-- Lenses and diagnostics work without this plugin; see README.md.
local M = {}

local defaults = {
  cmd = { "dx-py-ls", "--stdio" },
  trusted = false, -- without it tests are shown, and no Python is ever started
  signs = true,
  codelens = true,
  just_my_code = true, -- a debugger passes over what is not the project's
  root_markers = { "pytest.ini", "pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg", ".git" },
  settings = {}, -- python, args, env, diagnostics: the section "dx-py"
}

M.options = defaults
M.status = nil -- the last experimental/serverStatus
M.runs = {} -- by runId: { output = string, ended = table or nil }
M.last = nil -- the run that was heard of last

-- request works around the change of calling convention in 0.11.
function M.request(client, method, params, handler, bufnr)
  if vim.fn.has("nvim-0.11") == 1 then
    return client:request(method, params, handler, bufnr)
  end
  return client.request(method, params, handler, bufnr)
end

function M.notify(client, method, params)
  if vim.fn.has("nvim-0.11") == 1 then
    return client:notify(method, params)
  end
  return client.notify(method, params)
end

-- client is the server of a buffer, nil when there is none.
function M.client(bufnr)
  return vim.lsp.get_clients({ name = "dx_py_ls", bufnr = bufnr })[1] or vim.lsp.get_clients({ name = "dx_py_ls" })[1]
end

local function fired(name, data)
  vim.api.nvim_exec_autocmds("User", { pattern = name, modeline = false, data = data })
end

local function run_of(id)
  M.runs[id] = M.runs[id] or { output = "" }
  M.last = id
  return M.runs[id]
end

local handlers = {
  ["dx-py/testStates"] = function(_, p)
    require("dx_py.signs").states(p.changes)
    fired("DxPyTestStates", p)
  end,
  ["dx-py/discoveredTests"] = function(_, p)
    require("dx_py.signs").discovered(p)
    fired("DxPyDiscoveredTests", p)
  end,
  ["dx-py/runOutput"] = function(_, p)
    local run = run_of(p.runId)
    run.output = run.output .. p.text:gsub("\r\n", "\n")
    fired("DxPyRunOutput", p)
  end,
  ["dx-py/debugAttach"] = function(_, p)
    fired("DxPyDebugAttach", p)
    M.attach(p)
  end,
  ["dx-py/runEnded"] = function(_, p)
    run_of(p.runId).ended = p
    if p.outcome == "error" and p.message then
      vim.notify("dx-py: " .. p.message, vim.log.levels.ERROR)
    end
    fired("DxPyRunEnded", p)
  end,
  ["experimental/serverStatus"] = function(_, p)
    M.status = p
    fired("DxPyStatus", p)
  end,
}

-- config is the client's configuration, for vim.lsp.config and vim.lsp.start.
function M.config()
  local o = M.options
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.experimental = vim.tbl_extend("force", capabilities.experimental or {}, {
    dxPyTests = { version = 1 },
    serverStatusNotification = true,
    commands = pcall(require, "dap") and { commands = { "dx-py.debugTest" } } or nil, -- with it tests have a lens Debug
  })
  -- signs are not all of a result: failures stay diagnostics
  local settings = vim.tbl_deep_extend("force", { diagnostics = { failures = true } }, o.settings)
  return {
    name = "dx_py_ls",
    cmd = o.cmd,
    filetypes = { "python" },
    root_markers = o.root_markers,
    init_options = vim.tbl_extend("force", { trusted = o.trusted }, settings),
    settings = { ["dx-py"] = settings },
    capabilities = capabilities,
    handlers = handlers,
  }
end

-- argument is that of a server command: the cursor's line, or the file.
local function argument(whole)
  local a = { uri = vim.uri_from_bufnr(0) }
  if not whole then
    a.line = vim.api.nvim_win_get_cursor(0)[1] - 1
  end
  return a
end

-- execute runs a server command; done(err, result) is called with its answer.
function M.execute(command, arg, done)
  local client = M.client(vim.api.nvim_get_current_buf())
  if not client then
    vim.notify("dx-py: no server is attached", vim.log.levels.ERROR)
    return
  end
  M.request(client, "workspace/executeCommand", { command = "dx-py.server." .. command, arguments = arg and { arg } or nil }, function(err, result)
    if err then
      vim.notify("dx-py: " .. err.message, vim.log.levels.ERROR)
    end
    if done then
      done(err, result)
    end
  end, vim.api.nvim_get_current_buf())
end

function M.run()
  M.execute("runAtCursor", argument(false))
end

-- attach has nvim-dap attach to a run that waits for a debugger.
function M.attach(p)
  local ok, dap = pcall(require, "dap")
  if not ok then
    vim.notify(("dx-py: waiting for a debugger on %s:%d; there is no nvim-dap to attach"):format(p.host, p.port), vim.log.levels.WARN)
    return
  end
  dap.run(
    { type = "dx_py", request = "attach", name = "dx-py: debug a test", cwd = p.cwd, connect = { host = p.host, port = p.port }, justMyCode = M.options.just_my_code },
    { new = true }
  )
end

-- debug_test is the client's command behind the lens Debug: its argument is that
-- of the server's.
function M.debug_test(arg)
  local ok, dap = pcall(require, "dap")
  if not ok then
    vim.notify("dx-py: tests are debugged by nvim-dap (github.com/mfussenegger/nvim-dap), which is not installed", vim.log.levels.ERROR)
    return
  end
  dap.adapters.dx_py = dap.adapters.dx_py or function(done, config)
    done({ type = "server", host = config.connect.host, port = config.connect.port })
  end
  M.execute("debug", arg)
end

function M.debug()
  M.debug_test(argument(false))
end

function M.run_file()
  M.execute("run", argument(true))
end

function M.run_failed()
  M.execute("rerunFailed")
end

function M.run_affected()
  M.execute("runAffected")
end

function M.coverage()
  M.execute("runWithCoverage", argument(false))
end

function M.covered()
  M.execute("goToCovered", argument(false))
end

function M.cancel()
  M.execute("cancel")
end

function M.output()
  M.execute("showOutput", argument(false))
end

function M.explain()
  M.execute("explain", argument(false))
end

function M.restart()
  M.execute("restartWorkers")
end

function M.trust()
  for _, client in ipairs(vim.lsp.get_clients({ name = "dx_py_ls" })) do
    M.notify(client, "dx-py/trust", { trusted = true })
  end
end

local commands = {
  DxPyRun = { "run", "Run the test at the cursor" },
  DxPyDebug = { "debug", "Debug the test at the cursor, by nvim-dap" },
  DxPyRunFile = { "run_file", "Run the tests of the file" },
  DxPyRunFailed = { "run_failed", "Run what failed again" },
  DxPyRunAffected = { "run_affected", "Run what is affected by edits" },
  DxPyCoverage = { "coverage", "Run the test at the cursor with coverage" },
  DxPyCovered = { "covered", "Go to the code that the test at the cursor covers" },
  DxPyCancel = { "cancel", "Cancel all runs" },
  DxPyOutput = { "output", "Open the output of the test at the cursor" },
  DxPyExplain = { "explain", "What is known of the test at the cursor" },
  DxPyRestart = { "restart", "End all Python processes of the server" },
  DxPyTrust = { "trust", "Allow the server to run this project's tests" },
}

local function lenses(bufnr)
  if vim.lsp.codelens.enable then -- 0.12 keeps them up to date itself
    vim.lsp.codelens.enable(true, { bufnr = bufnr })
    return
  end
  local refresh = function()
    vim.lsp.codelens.refresh({ bufnr = bufnr })
  end
  vim.api.nvim_create_autocmd({ "BufEnter", "InsertLeave", "TextChanged" }, { buffer = bufnr, group = M.group, callback = refresh })
  vim.api.nvim_create_autocmd("User", { pattern = { "DxPyRunEnded", "DxPyDiscoveredTests" }, group = M.group, callback = function()
    if vim.api.nvim_buf_is_loaded(bufnr) then
      refresh()
    end
  end })
  -- a server that ends owes lenses now and then: Neovim would wait for them, and
  -- ask for no more
  vim.api.nvim_create_autocmd("LspDetach", { buffer = bufnr, group = M.group, callback = function(args)
    local client = vim.lsp.get_client_by_id(args.data.client_id)
    if client and client.name == "dx_py_ls" then
      vim.lsp.codelens.on_codelens(nil, {}, { bufnr = bufnr, client_id = client.id, method = "textDocument/codeLens" }, {})
    end
  end })
  refresh()
end

function M.setup(options)
  M.options = vim.tbl_deep_extend("force", defaults, options or {})
  M.group = vim.api.nvim_create_augroup("dx_py", { clear = true })
  vim.lsp.commands["dx-py.debugTest"] = function(command)
    M.debug_test(command.arguments[1])
  end
  for name, c in pairs(commands) do
    vim.api.nvim_create_user_command(name, function()
      M[c[1]]()
    end, { desc = c[2] })
  end
  vim.api.nvim_create_autocmd("LspAttach", { group = M.group, callback = function(args)
    local client = vim.lsp.get_client_by_id(args.data.client_id)
    if client and client.name == "dx_py_ls" and M.options.codelens then
      lenses(args.buf)
    end
  end })
  if vim.lsp.config and vim.lsp.enable then
    vim.lsp.config("dx_py_ls", M.config())
    vim.lsp.enable("dx_py_ls")
    return
  end
  vim.api.nvim_create_autocmd("FileType", { pattern = "python", group = M.group, callback = function(args)
    local config = M.config()
    config.root_dir = vim.fs.root(args.buf, config.root_markers) or vim.fs.dirname(vim.api.nvim_buf_get_name(args.buf))
    vim.lsp.start(config, { bufnr = args.buf })
  end })
end

return M
