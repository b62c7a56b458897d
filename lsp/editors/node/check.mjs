// An independent client: vscode-languageserver-protocol. What the server sends
// is judged by that library's own validators.
//
//   node check.mjs BINARY PYTHON PYTHON-WITH-DEBUGPY-AND-COVERAGE
import { execFileSync, spawn } from "node:child_process";
import { createRequire } from "node:module";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const lsp = require("vscode-languageserver-protocol/node");
const [binary, python, debugging] = process.argv.slice(2);

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "dx-py-node-"));
const text = `import pytest


@pytest.fixture
def letter():
    return "x"


@pytest.mark.parametrize("n", [1, 2])
def test_cases(n, letter):
    assert n == 1


class TestBox:
    def test_twice(self, nothing): pass
    def test_twice(self): pass
`;
fs.writeFileSync(path.join(dir, "pytest.ini"), "[pytest]\n");
fs.writeFileSync(path.join(dir, "test_a.py"), text);
const uri = pathToFileURL(path.join(dir, "test_a.py")).href;

let checks = 0;
const failed = [];
function check(what, ok, got) {
  checks++;
  if (!ok) failed.push(`${what}: ${JSON.stringify(got)}`);
}
const each = (what, list, is) => {
  check(`${what} is a list that is not empty`, Array.isArray(list) && list.length > 0, list);
  for (const x of list ?? []) check(what, is(x), x);
};

// With a resident process of its own, where one can be.
const env = { ...process.env, DX_PY_STATE_DIR: path.join(dir, "state"), DX_PY_RUNTIME_DIR: path.join(dir, "run") };
const serve = () => spawn(binary, ["--stdio"], { stdio: ["pipe", "pipe", "inherit"], env });
const server = serve();
const exit = new Promise((done) => server.on("exit", done));
const c = lsp.createProtocolConnection(new lsp.StreamMessageReader(server.stdout), new lsp.StreamMessageWriter(server.stdin));
const unexpected = [];
c.onError((e) => failed.push(`connection: ${e}`));
c.onUnhandledNotification((n) => unexpected.push(n.method));

// dap is a client of the debug adapter protocol: send answers with the body,
// event with that of the next event of a name.
function dap(host, port) {
  const socket = net.connect(port, host);
  let seq = 0;
  let rest = Buffer.alloc(0);
  const waiting = new Map();
  const events = [];
  let wake = () => {};
  socket.on("data", (data) => {
    rest = Buffer.concat([rest, data]);
    for (;;) {
      const head = rest.indexOf("\r\n\r\n");
      const size = head < 0 ? -1 : Number(/Content-Length: (\d+)/.exec(rest.subarray(0, head).toString())[1]);
      if (head < 0 || rest.length < head + 4 + size) return;
      const m = JSON.parse(rest.subarray(head + 4, head + 4 + size).toString());
      rest = rest.subarray(head + 4 + size);
      if (m.type === "event") {
        events.push(m);
        wake();
      } else if (m.type === "response") {
        check(`${m.command} of the debug adapter`, m.success, m);
        waiting.get(m.request_seq)(m.body);
      }
    }
  });
  return {
    send: (command, args = {}) => new Promise((done) => {
      waiting.set(++seq, done);
      const body = JSON.stringify({ seq, type: "request", command, arguments: args });
      socket.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    }),
    event: async (name) => {
      for (;;) {
        const at = events.findIndex((e) => e.event === name);
        if (at >= 0) return events.splice(at, 1)[0].body;
        await new Promise((done) => (wake = done));
      }
    },
    end: () => socket.destroy(),
  };
}

// rich is a client that draws a tree: it debugs a test, and counts lines.
async function rich() {
  const process_ = serve();
  const ended = new Promise((done) => process_.on("exit", done));
  const c = lsp.createProtocolConnection(new lsp.StreamMessageReader(process_.stdout), new lsp.StreamMessageWriter(process_.stdin));
  c.onError((e) => failed.push(`connection: ${e}`));
  const root = pathToFileURL(dir).href;
  const states = new Map();
  const runs = new Map();
  let attach;
  const ran = (id) => new Promise((done) => runs.set(id, done));
  const isRef = (r) => r.root === root && typeof r.id === "string";
  c.onNotification("dx-py/testStates", (p) => {
    for (const ch of p.changes) {
      check("a change of a state", isRef(ch.ref) && typeof ch.state === "string", ch);
      states.set(ch.ref.id, ch.state);
    }
  });
  c.onNotification("dx-py/runOutput", (p) => check("output", typeof p.text === "string" && ["stdout", "stderr", "log"].includes(p.stream), p));
  c.onNotification("dx-py/debugAttach", (p) => {
    check("debugAttach", p.runId === "d" && p.root === root && p.host === "127.0.0.1" && lsp.uinteger.is(p.port) && p.cwd === dir, p);
    attach(p);
  });
  c.onNotification("dx-py/runEnded", (p) => {
    check("runEnded", typeof p.outcome === "string" && typeof p.totals === "object", p);
    runs.get(p.runId)(p);
  });
  c.listen();
  const init = await c.sendRequest(lsp.InitializeRequest.type, {
    processId: process.pid, rootUri: root, workspaceFolders: [{ uri: root, name: "a" }], initializationOptions: { trusted: true, python: debugging },
    capabilities: { experimental: { dxPyTests: { version: 1 }, commands: { commands: ["dx-py.debugTest"] } } },
  });
  const can = init.capabilities.experimental.dxPyTests;
  check("what the server offers", can.version === 1 && can.debug === true && can.coverage === true && can.continuous === true, can);
  await c.sendNotification(lsp.InitializedNotification.type, {});
  await c.sendNotification(lsp.DidOpenTextDocumentNotification.type, { textDocument: { uri, languageId: "python", version: 1, text } });
  const lenses = await c.sendRequest(lsp.CodeLensRequest.type, { textDocument: { uri } });
  check("a lens that debugs", lenses.some((l) => lsp.CodeLens.is(l) && l.command.title === "Debug" && l.command.command === "dx-py.debugTest"), lenses);

  const id = "test_a.py::test_cases[1]";
  const at = new Promise((done) => (attach = done));
  let over = ran("d");
  await c.sendRequest("dx-py/runTests", { runId: "d", kind: "debug", include: [{ root, id }] });
  const { host, port } = await at;
  const d = dap(host, port);
  await d.send("initialize", { adapterID: "dx-py", linesStartAt1: true, columnsStartAt1: true, pathFormat: "path" });
  const attached = d.send("attach", { justMyCode: true });
  await d.event("initialized");
  await d.send("setBreakpoints", { source: { path: path.join(dir, "test_a.py") }, breakpoints: [{ line: 11 }] });
  await d.send("configurationDone");
  await attached;
  const stopped = await d.event("stopped");
  const { stackFrames } = await d.send("stackTrace", { threadId: stopped.threadId });
  check("the stack", stackFrames[0].name === "test_cases" && stackFrames[0].line === 11 && stackFrames[0].source.path === path.join(dir, "test_a.py"), stackFrames);
  await d.send("continue", { threadId: stopped.threadId });
  check("a run that is debugged", (await over).outcome === "passed" && states.get(id) === "passed", [...states]);
  d.end();

  over = ran("c");
  await c.sendRequest("dx-py/runTests", { runId: "c", kind: "coverage", include: [{ root, id: "test_a.py::test_cases" }] });
  check("a run with coverage", (await over).totals.passed === 1 && (await over).totals.failed === 1, await over);
  const covered = await c.sendRequest("dx-py/coverage", { runId: "c", uri, ref: { root, id } });
  check("coverage", covered.files.length === 1 && covered.files[0].uri === uri, covered);
  each("a covered range", covered.files[0].covered, lsp.Range.is);
  each("a missed range", covered.files[0].missed, lsp.Range.is);
  each("who covers it", covered.files[0].by, isRef);
  check("the lines of the test", covered.files[0].covered.some((r) => r.start.line === 10 && r.end.line === 11), covered.files[0].covered);
  await c.sendRequest(lsp.ShutdownRequest.type);
  await c.sendNotification(lsp.ExitNotification.type);
  check("exit of the second", (await ended) === 0, process_.exitCode);
}

const published = [];
let news = () => {};
c.onNotification(lsp.PublishDiagnosticsNotification.type, (p) => {
  check("publishDiagnostics", typeof p.uri === "string" && Number.isInteger(p.version), p);
  for (const d of p.diagnostics) check("diagnostic", lsp.Diagnostic.is(d), d);
  published.push(p);
  news();
});
c.onNotification(lsp.ShowMessageNotification.type, (p) => check("showMessage", typeof p.message === "string" && p.type >= 1 && p.type <= 4, p));
const progress = [];
c.onRequest(lsp.WorkDoneProgressCreateRequest.type, (p) => {
  check("workDoneProgress/create", typeof p.token === "string" || Number.isInteger(p.token), p);
  c.onProgress(lsp.WorkDoneProgress.type, p.token, (v) => progress.push(v.kind));
});
c.onRequest(lsp.ConfigurationRequest.type, (p) => {
  for (const i of p.items) check("configuration item", i.section === "dx-py" && typeof i.scopeUri === "string", i);
  return p.items.map(() => null);
});
let refreshed = 0;
c.onRequest(lsp.CodeLensRefreshRequest.type, () => {
  refreshed++;
});
let shown;
c.onRequest(lsp.ShowDocumentRequest.type, (p) => {
  shown = p;
  return { success: true };
});
c.listen();

const init = await c.sendRequest(lsp.InitializeRequest.type, {
  processId: process.pid, rootUri: null, clientInfo: { name: "node" }, workspaceFolders: [{ uri: pathToFileURL(dir).href, name: "a" }],
  initializationOptions: { trusted: true, python },
  capabilities: {
    workspace: { configuration: true, codeLens: { refreshSupport: true }, workspaceFolders: true },
    window: { workDoneProgress: true, showDocument: { support: true } }, general: { positionEncodings: ["utf-16"] },
  },
});
check("initialize", init.capabilities.positionEncoding === "utf-16" && init.serverInfo.name === "dx-py-ls", init);
await c.sendNotification(lsp.InitializedNotification.type, {});
await c.sendNotification(lsp.DidOpenTextDocumentNotification.type, { textDocument: { uri, languageId: "python", version: 1, text } });
const textDocument = { uri };
const position = { line: 9, character: 20 }; // letter in test_cases(n, letter)

each("code lens", await c.sendRequest(lsp.CodeLensRequest.type, { textDocument }), lsp.CodeLens.is);
each("document symbol", await c.sendRequest(lsp.DocumentSymbolRequest.type, { textDocument }), (s) => lsp.DocumentSymbol.is(s) && (s.children ?? []).every(lsp.DocumentSymbol.is));
each("workspace symbol", await c.sendRequest(lsp.WorkspaceSymbolRequest.type, { query: "" }), (s) => s.name && lsp.Location.is(s.location) && s.kind >= 1 && s.kind <= 26);
each("definition", await c.sendRequest(lsp.DefinitionRequest.type, { textDocument, position }), lsp.Location.is);
each("reference", await c.sendRequest(lsp.ReferencesRequest.type, { textDocument, position, context: { includeDeclaration: true } }), lsp.Location.is);
check("implementation", Array.isArray(await c.sendRequest(lsp.ImplementationRequest.type, { textDocument, position })), "a list");
const completion = await c.sendRequest(lsp.CompletionRequest.type, { textDocument, position });
check("completion", completion.isIncomplete === false, completion);
each("completion item", completion.items, (i) => typeof i.label === "string" && i.kind >= 1 && i.kind <= 25);
const hover = await c.sendRequest(lsp.HoverRequest.type, { textDocument, position });
check("hover", lsp.Hover.is(hover), hover);
each("code action", await c.sendRequest(lsp.CodeActionRequest.type, { textDocument, range: { start: position, end: position }, context: { diagnostics: [] } }), lsp.CodeAction.is);

const run = await c.sendRequest(lsp.ExecuteCommandRequest.type, { command: "dx-py.server.run", arguments: [{ uri }] });
check("a run", run.totals.passed === 2 && run.totals.failed === 1 && run.totals.error === undefined, run);
await new Promise((done) => {
  news = () => published.some((p) => p.diagnostics.some((d) => d.severity === 1 && d.message.includes("assert 2 == 1"))) && done();
  news();
});
const related = published.at(-1).diagnostics.find((d) => d.severity === 1).relatedInformation;
each("related information", related, lsp.DiagnosticRelatedInformation.is);
await c.sendRequest(lsp.ExecuteCommandRequest.type, { command: "dx-py.server.showOutput", arguments: [{ uri, line: 9 }] });
check("showDocument", shown && lsp.URI.is(shown.uri), shown);
check("lenses were to be redrawn", refreshed > 0, refreshed);
check("progress", progress[0] === "begin" && progress.at(-1) === "end", progress);
for (const [method, code] of [["no/such", -32601], ["workspace/executeCommand", -32602]]) {
  const err = await c.sendRequest(method, { command: "no.such" }).then(() => ({}), (e) => e);
  check(`the error of ${method}`, err.code === code, err);
}
check("nothing else was sent", unexpected.length === 0, unexpected);
await c.sendRequest(lsp.ShutdownRequest.type);
await c.sendNotification(lsp.ExitNotification.type);
check("exit", (await exit) === 0, server.exitCode);
await rich();
execFileSync(binary, ["--cli", "daemon", "stop"], { env });
fs.rmSync(dir, { recursive: true, maxRetries: 50, retryDelay: 20 }); // what ends may write there
for (const f of failed) console.log("FAILED " + f);
console.log(`node, vscode-languageserver-protocol: ${checks - failed.length} of ${checks} checks passed`);
process.exit(failed.length ? 1 : 0);
