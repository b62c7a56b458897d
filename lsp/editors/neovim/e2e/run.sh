#!/bin/bash
# Drives real Neovims: headless, under neotest, and on a terminal's screen.
# They are in DX_E2E_DIR, as recipes/install.sh makes it. neotest, nvim-nio and
# plenary.nvim are in DX_NEOTEST_DIR; without it that part is left out.
# Arguments: the binary to test, the Python with pytest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export DX_BINARY DX_PYTHON DX_MODE DX_DEBUGPY=0
DX_BINARY=$(realpath "$1")
DX_PYTHON=$(realpath -s "$2")
if "$DX_PYTHON" -c "import debugpy" 2>/dev/null; then DX_DEBUGPY=1; fi
tools=${DX_E2E_DIR:-$HOME/.cache/dx-py-e2e}
work=$(mktemp -d)
socket=$work/tmux
# A resident process of its own; with CI set the server would be in the editor's own.
unset CI DX_PY_NO_DAEMON
export DX_PY_RUNTIME_DIR=$work/run
trap 'tmux -S "$socket" kill-server 2>/dev/null || true; "$DX_BINARY" --cli daemon stop >/dev/null || true; rm -rf "$work" || rm -rf "$work"' EXIT
export HOME=$work/home XDG_STATE_HOME=$work/home XDG_CACHE_HOME=$work/home DX_PY_STATE_DIR=$work/home/state TERM=xterm-256color LC_ALL=C.UTF-8

fresh() {
  "$DX_BINARY" --cli daemon stop >/dev/null # what ends may write there
  old=$(mktemp -d "$work/old-XXXX")
  [ ! -d "$work/project" ] || mv "$work/project" "$work/home" "$old"
  mkdir -p "$work/project" "$work/home"
  printf '[pytest]\n' >"$work/project/pytest.ini"
  cp "$here/test_shop.py" "$work/project/test_shop.py"
}

drive() { # name, script
  fresh
  if ! timeout 120 "$nvim" --headless -u NONE -i NONE --cmd "set rtp^=$here/.." --cmd "cd $work/project" -l "$here/$2" >"$work/log" 2>&1; then
    echo "$version, $1: FAILED"
    cat "$work/log"
    exit 1
  fi
  echo "$version, $1: $(grep -c 'ok ' "$work/log") checks passed"
}

screen() { # waits until the screen has a line like $1
  for _ in $(seq 200); do
    if tmux -S "$socket" capture-pane -p | grep -q "$1"; then return; fi
    sleep 0.1
  done
  echo "$version, screen: FAILED, no line like $1"
  tmux -S "$socket" capture-pane -p
  exit 1
}

tui() {
  fresh
  cat >"$work/init.lua" <<LUA
vim.opt.rtp:prepend("$here/..")
vim.o.swapfile = false
vim.diagnostic.config({ virtual_text = true })
require("dx_py").setup({ cmd = { "$DX_BINARY", "--stdio" }, trusted = true, settings = { python = "$DX_PYTHON" } })
LUA
  tmux -S "$socket" -f /dev/null new-session -d -x 120 -y 40 "cd $work/project && '$nvim' -u $work/init.lua -i NONE test_shop.py"
  screen 'Run 2$'
  tmux -S "$socket" send-keys :11 Enter :DxPyRun Enter
  screen '^✗ *def test_total'
  screen 'assert 0 == 1'
  screen "✗ 1 of 2 failed | Run 2"
  tmux -S "$socket" send-keys :15 Enter :DxPyRun Enter
  screen '^✓ *def test_fine'
  tmux -S "$socket" send-keys Escape :qa! Enter
  tmux -S "$socket" kill-server 2>/dev/null || true
  echo "$version, screen: 5 checks passed"
}

ran=0
for nvim in "$tools"/nvim-trixie/nvim "$tools"/nvim-forky/nvim; do
  [ -x "$nvim" ] || continue
  ran=$((ran + 1))
  version=$("$nvim" --version | head -1)
  for DX_MODE in plain plugin; do drive "$DX_MODE" drive.lua; done
  if command -v tmux >/dev/null; then tui; else echo "$version, screen: left out, there is no tmux"; fi
  if [ -n "${DX_NEOTEST_DIR:-}" ]; then drive neotest neotest.lua; else echo "$version, neotest: left out, DX_NEOTEST_DIR is not set"; fi
done
if [ "$ran" = 0 ]; then
  echo "there is no Neovim under $tools"
  exit 1
fi
