-- A neotest adapter: tests come from dx-py/discoverTests, runs are the
-- server's, results are shown as they come.
--
--   require("neotest").setup({ adapters = { require("dx_py.neotest") } })
local dx = require("dx_py")

local M = { name = "dx-py" }

local refs = {} -- by position id: { root, id }
local positions = {} -- by root .. "\0" .. id
local listeners = {} -- by runId

local function key(ref)
  return ref.root .. "\0" .. ref.id
end

-- request is an asynchronous one: it gives err, result.
local function request(client, method, params)
  local nio = require("nio")
  local future = nio.control.future()
  nio.scheduler()
  dx.request(client, method, params, function(err, result)
    future.set({ err, result })
  end)
  local got = future.wait()
  return got[1], got[2]
end

-- server is the client for a project; one is started where none runs.
local function server(root)
  local nio = require("nio")
  nio.scheduler()
  local client
  for _, c in ipairs(vim.lsp.get_clients({ name = "dx_py_ls", _uninitialized = true })) do
    if (c.root_dir or c.config.root_dir) == root then
      client = c
    end
  end
  if not client then
    local config = dx.config()
    config.root_dir = root
    config.workspace_folders = { { uri = vim.uri_from_fname(root), name = vim.fs.basename(root) } }
    local id = vim.fn.has("nvim-0.11") == 1 and vim.lsp.start(config, { attach = false }) or vim.lsp.start_client(config)
    client = id and vim.lsp.get_client_by_id(id)
  end
  for _ = 1, 500 do
    if client and client.initialized then
      return client
    end
    nio.sleep(10)
  end
end

local function project(path)
  return vim.fs.root(path, dx.options.root_markers)
end

function M.root(dir)
  return project(dir)
end

function M.filter_dir(name)
  return name ~= "node_modules" and name ~= "__pycache__" and name:sub(1, 1) ~= "." and name ~= "venv"
end

function M.is_test_file(path)
  local name = vim.fs.basename(path)
  return vim.endswith(name, ".py") and (vim.startswith(name, "test_") or vim.endswith(name, "_test.py"))
end

function M.discover_positions(path)
  local root = project(path)
  local client = root and server(root)
  if not client then
    return nil
  end
  local err, found = request(client, "dx-py/discoverTests", { uri = vim.uri_from_fname(path) })
  if err or not found then
    return nil
  end
  local top = { { id = path, type = "file", name = vim.fs.basename(path), path = path, range = { 0, 0, 0, 0 } } }
  local lists = {}
  local kinds = { class = "namespace", ["function"] = "test", case = "test", subtest = "test" }
  for _, t in ipairs(found.tests) do
    local id = path .. t.id:sub((t.id:find("::", 1, true) or #t.id + 1), -1)
    local position = { id = id, type = kinds[t.kind], name = t.label, path = path }
    if t.range and t.kind ~= "case" then -- a case stands where its function does
      position.range = { t.range.start.line, t.range.start.character, t.range["end"].line, t.range["end"].character }
      top[1].range[3] = math.max(top[1].range[3], t.range["end"].line)
    end
    refs[id] = { root = t.root, id = t.id }
    positions[key(refs[id])] = id
    local list = { position }
    lists[t.id] = list
    local parent = lists[t.parent] or top
    parent[#parent + 1] = list
  end
  if #top == 1 then
    return nil
  end
  return require("neotest.types").Tree.from_list(top, function(p)
    return p.id
  end)
end

local statuses = { passed = "passed", xfailed = "passed", failed = "failed", error = "failed", xpassed = "failed", skipped = "skipped", cancelled = "skipped" }

local function result_of(change)
  local status = statuses[change.state]
  if not status then
    return nil
  end
  local r = { status = status, errors = {} }
  for _, m in ipairs(change.messages or {}) do
    r.short = m.text.value
    r.errors[#r.errors + 1] = { message = m.text.value, line = m.location and m.location.range.start.line }
  end
  return r
end

local ids = 0

local function listen()
  if listeners.group then
    return
  end
  listeners.group = vim.api.nvim_create_augroup("dx_py_neotest", { clear = true })
  for _, name in ipairs({ "DxPyTestStates", "DxPyRunOutput", "DxPyRunEnded" }) do
    vim.api.nvim_create_autocmd("User", { pattern = name, group = listeners.group, callback = function(args)
      local l = listeners[args.data.runId]
      if l then
        l(name, args.data)
      end
    end })
  end
end

-- strategy runs by the server, where neotest would start a process.
local function strategy(client, include, context)
  return function()
    local nio = require("nio")
    nio.scheduler()
    listen()
    ids = ids + 1
    local id = "neotest-" .. ids
    local ended, path, code = nio.control.future(), vim.fn.tempname(), nil
    local output = nio.control.queue()
    local file = assert(io.open(path, "w"))
    listeners[id] = function(name, p)
      if name == "DxPyTestStates" then
        local some = {}
        for _, c in ipairs(p.changes) do
          local r = result_of(c)
          local position = positions[key(c.ref)]
          if r and position then
            r.output = path
            some[position] = r
            context.results[position] = r
          end
        end
        context.queue.put_nowait(some)
      elseif name == "DxPyRunOutput" then
        file:write(p.text)
        file:flush()
        output.put_nowait(p.text)
      else
        listeners[id] = nil
        if p.message then
          file:write(p.message .. "\n")
        end
        file:close()
        code = p.outcome == "passed" and 0 or 1
        context.queue.put_nowait(false)
        output.put_nowait(false)
        ended.set()
      end
    end
    local err = request(client, "dx-py/runTests", { runId = id, include = include, kind = "run" })
    if err and listeners[id] then
      listeners[id]("DxPyRunEnded", { outcome = "error", message = err.message })
    end
    return {
      is_complete = function()
        return code ~= nil
      end,
      output = function()
        return path
      end,
      output_stream = function()
        return function()
          return output.get() or nil
        end
      end,
      attach = function() end,
      stop = function()
        request(client, "dx-py/cancelRun", { runId = id })
      end,
      result = function()
        if code == nil then
          ended.wait()
        end
        return code
      end,
    }
  end
end

function M.build_spec(args)
  if args.strategy == "dap" then
    error("dx-py: debugging is not offered")
  end
  local position = args.tree:data()
  local root = project(position.path)
  local client = root and server(root)
  if not client then
    return nil
  end
  local ref = refs[position.id]
  if not ref then
    local rel = position.path == root and "." or position.path:sub(#root + 2)
    ref = { root = vim.uri_from_fname(root), id = rel }
  end
  local context = { results = {}, queue = require("nio").control.queue() }
  return {
    command = {},
    context = context,
    strategy = strategy(client, { ref }, context),
    stream = function()
      return function()
        return context.queue.get() or nil
      end
    end,
  }
end

function M.results(spec)
  return spec.context.results
end

return M
