-- :checkhealth dx_py
local M = {}

function M.check()
  local h = vim.health
  h.start("dx-py-ls")
  local dx = require("dx_py")
  if vim.fn.has("nvim-0.10") == 1 then
    h.ok("Neovim " .. tostring(vim.version()))
  else
    h.error("Neovim 0.10 or newer is needed")
  end
  local program = dx.options.cmd[1]
  if vim.fn.executable(program) == 1 then
    h.ok(program .. " is " .. vim.fn.exepath(program))
  else
    h.error(program .. " cannot be run", { "put dx-py-ls on PATH, or name it: require('dx_py').setup({ cmd = { '/path/dx-py-ls', '--stdio' } })" })
  end
  local clients = vim.lsp.get_clients({ name = "dx_py_ls" })
  if #clients == 0 then
    h.info("no server runs: open a Python file of a project")
  end
  for _, client in ipairs(clients) do
    h.ok(("server %s runs for %s"):format((client.server_info or {}).version or "", client.root_dir or client.config.root_dir or "a file"))
  end
  local s = dx.status
  if s then
    local say = s.health == "ok" and h.ok or s.health == "warning" and h.warn or h.error
    say("the server is " .. (s.quiescent and "idle" or "busy") .. (s.message and (": " .. s.message) or ""))
  end
  if not dx.options.trusted then
    h.info("the workspace is trusted with setup({ trusted = true }) or :DxPyTrust; until then no test is run")
  end
end

return M
