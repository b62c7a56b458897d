// An independent client: vscode-languageserver-protocol. What the server sends
// is judged by that library's own validators.
//
//   node check.mjs BINARY PYTHON
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const lsp = require("vscode-languageserver-protocol/node");
const [binary, python] = process.argv.slice(2);

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

const server = spawn(binary, ["--stdio"], { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, DX_PY_STATE_DIR: path.join(dir, "state") } });
const exit = new Promise((done) => server.on("exit", done));
const c = lsp.createProtocolConnection(new lsp.StreamMessageReader(server.stdout), new lsp.StreamMessageWriter(server.stdin));
const unexpected = [];
c.onError((e) => failed.push(`connection: ${e}`));
c.onUnhandledNotification((n) => unexpected.push(n.method));

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
fs.rmSync(dir, { recursive: true });
for (const f of failed) console.log("FAILED " + f);
console.log(`node, vscode-languageserver-protocol: ${checks - failed.length} of ${checks} checks passed`);
process.exit(failed.length ? 1 : 0);
