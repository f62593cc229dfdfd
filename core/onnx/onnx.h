/* onnx.h - the door of core/onnx: a model's scoring graph as ONNX, for other runtimes, and a net from elsewhere as layers.
 *
 * Out go all kinds of layers: the graph takes what a row of moon_inputs has (numbers as they are, ids, bags of ids), and does whatever the
 * model does with it, from the standardisation to the sigmoid. In come chains of layers as a dense net is made of. Both are the format's
 * messages, read and written by protobuf-c from the schema that the distribution has.
 *
 * The generated code is there only where the build found protobuf-c and the schema; everything here is MOON_EINVAL otherwise, and says so.
 *
 *   graph.c            nodes, tensors and names on their way to bytes
 *   layers*.c          one function for each kind of layer: read one beside its `forward` in core/nn/layer_*.c
 *   export.c           the inputs of a model, and what the file tells of itself
 *   wire.c, import.c   bytes that anybody may have made, and the chain in them as layers */
#ifndef MOON_ONNX_H
#define MOON_ONNX_H
#include <jansson.h>

#include "rank/rank.h"

/* Opset 13 and IR 7 (2021) are what nearly everything in use reads. */
enum { MOON_ONNX_OPSET = 13, MOON_ONNX_IR = 7 };

/* MOON_EINVAL, and what is missing, where this was built without. */
moon_status moon_onnx_ready(void);

/* A bundle's model as a file. Appends. `report` may be NULL, else (new reference) it says what goes in and comes out, as the file itself does
 * in its metadata under "moonshelf":
 *   {"recipe","recipe_sha256","moonshelf","opset","ir_version","rows":"n",
 *    "inputs":[{"name":"numbers","type":"float32","shape":["n",3],"columns":["price",..]},
 *              {"name":"user","type":"int64","shape":["n"],"feature":"user","ids":944 (from 0, which is unknown),"vocabulary"?:"vocab.json",
 *               "at"?: the list's place in that file}],
 *    "output":{"name":"score","type":"float32","shape":["n",1],"is":"probability"|"number"},"parameters":N,"nodes":N}
 * MOON_EINVAL where a layer has no ONNX, with its line. */
moon_status moon_onnx_export(const moon_bundle *bundle, moon_buf *out, json_t **report);

/* Layers alone, f32, over their named inputs of numbers and ids, in which nothing is padding; the output is called "output". Appends. */
struct moon_module;
moon_status moon_onnx_export_module(const struct moon_module *module, moon_buf *out);

/* A file's net as layers for a plan, with their weights in them (new reference):
 *   {"type":"sequential","file":"net.onnx","width":12,"layers":[{"type":"dense","units":64,"activation":"relu","weights":{"weight":"..","bias":".."}},..]}
 * One input [n, width], one output, and between them a chain of Gemm, MatMul, Add, Sub, Mul, Div, BatchNormalization, Relu, LeakyRelu, Sigmoid,
 * Tanh, Softplus, Flatten, Identity and Dropout with constants beside. `name` is the file's in messages. MOON_EFORMAT for what is no ONNX,
 * MOON_EINVAL for what is no such chain, with the node's name, MOON_ELIMIT for more than it takes. */
moon_status moon_onnx_import(const char *name, const char *bytes, size_t n, json_t **layers);

#endif
