// Scoring rows with the MLP in ONNX Runtime, one thread; answers a line of JSON. Wants the npm package onnxruntime-node in NODE_PATH.
//   node onnx_peer.js MODEL.onnx ROWS
const ort = require('onnxruntime-node');

async function main(model, rows) {
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all' };
  const session = await ort.InferenceSession.create(model, options);
  const numbers = Float32Array.from({ length: rows * 64 }, () => Math.random() * 2 - 1);
  const x = new ort.Tensor('float32', numbers, [rows, 64]), calls = Math.max(100, Math.round(20000 / (rows + 10))), runs = [];
  for (let i = 0; i < calls / 4; i++) await session.run({ x });
  for (let run = 0; run < 5; run++) {
    const before = process.cpuUsage();
    for (let i = 0; i < calls; i++) await session.run({ x });
    const taken = process.cpuUsage(before); // microseconds
    runs.push((taken.user + taken.system) * 1e-6 / calls);
  }
  runs.sort((a, b) => a - b);
  console.log(JSON.stringify({ seconds: runs[2], peak_mib: process.resourceUsage().maxRSS / 1024 }));
}

main(process.argv[2], Number(process.argv[3]));
