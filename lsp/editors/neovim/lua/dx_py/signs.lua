-- Signs beside tests: how they ended, the worst of a function's cases.
local M = {}

local namespace = vim.api.nvim_create_namespace("dx_py_tests")

-- by severity, the worst last
local order = { "skipped", "xfailed", "passed", "xpassed", "stale", "cancelled", "enqueued", "started", "error", "failed" }
local severity = {}
for i, state in ipairs(order) do
  severity[state] = i
end

M.text = {
  passed = "✓", failed = "✗", error = "✗", skipped = "-", xfailed = "x", xpassed = "!", stale = "~", enqueued = "·", started = "▸", cancelled = " ",
}
local highlight = {
  passed = "DiagnosticSignOk", failed = "DiagnosticSignError", error = "DiagnosticSignError", xpassed = "DiagnosticSignWarn",
}

local tests = {} -- by uri: { [key] = line }
local state = {} -- by key

local function key(root, id)
  return root .. "\0" .. id
end

local function draw(uri)
  local bufnr = vim.fn.bufnr(vim.uri_to_fname(uri))
  if bufnr < 0 or not vim.api.nvim_buf_is_loaded(bufnr) or not require("dx_py").options.signs then
    return
  end
  local worst = {}
  for k, line in pairs(tests[uri] or {}) do
    local s = state[k]
    if s and (not worst[line] or severity[s] > severity[worst[line]]) then
      worst[line] = s
    end
  end
  vim.api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  local last = vim.api.nvim_buf_line_count(bufnr)
  for line, s in pairs(worst) do
    if line < last then
      vim.api.nvim_buf_set_extmark(bufnr, namespace, line, 0, {
        sign_text = M.text[s], sign_hl_group = highlight[s] or "DiagnosticSignInfo", priority = 20,
      })
    end
  end
end

-- discovered takes where tests are: dx-py/discoveredTests.
function M.discovered(p)
  local touched = {}
  for _, uri in ipairs(p.scopeUris or {}) do
    tests[uri] = {}
    touched[uri] = true
  end
  for _, ref in ipairs(p.removed or {}) do
    for uri, lines in pairs(tests) do
      if lines[key(ref.root, ref.id)] then
        lines[key(ref.root, ref.id)] = nil
        touched[uri] = true
      end
    end
  end
  for _, t in ipairs(p.tests) do
    if tests[t.uri] and t.range and (t.kind == "function" or t.kind == "case") then
      tests[t.uri][key(t.root, t.id)] = t.range.start.line
      touched[t.uri] = true
    end
  end
  for uri in pairs(touched) do
    draw(uri)
  end
end

-- states takes how tests stand: the changes of dx-py/testStates.
function M.states(changes)
  local touched = {}
  for _, c in ipairs(changes) do
    touched[key(c.ref.root, c.ref.id)] = true
    state[key(c.ref.root, c.ref.id)] = c.state
  end
  for uri, lines in pairs(tests) do
    for k in pairs(lines) do
      if touched[k] then
        draw(uri)
        break
      end
    end
  end
end

-- of returns the signs of a buffer, { [line] = text }, lines from 1.
function M.of(bufnr)
  local out = {}
  for _, m in ipairs(vim.api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, { details = true })) do
    out[m[2] + 1] = vim.trim(m[4].sign_text or "")
  end
  return out
end

return M
