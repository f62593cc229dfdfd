// ort.js - runs ONNX Runtime for test_onnx.py: `node ort.js model.onnx < rows.json` prints the scores of {"inputs": {name: {type, dims, data}}}.
const ort = require("onnxruntime-node");

async function main() {
  const rows = JSON.parse(require("fs").readFileSync(0, "utf8")).inputs;
  const session = await ort.InferenceSession.create(process.argv[2], { logSeverityLevel: 3 });
  const feeds = {};
  for (const name of session.inputNames) {
    const { type, dims, data } = rows[name];
    feeds[name] = new ort.Tensor(type, type === "int64" ? BigInt64Array.from(data.map(BigInt)) : Float32Array.from(data), dims);
  }
  const out = await session.run(feeds);
  console.log(JSON.stringify(Array.from(out[session.outputNames[0]].data)));
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
