/* without.c - core/onnx where the build found no protobuf-c or no schema: it says so. */
#include "onnx/onnx.h"

moon_status moon_onnx_ready(void) {
  return moon_fail(MOON_EINVAL,
                   "this moonshelf was built without ONNX (it takes libonnx-dev, protobuf-c-compiler and libprotobuf-c-dev)");
}

moon_status moon_onnx_export(const moon_bundle *bundle, moon_buf *out, json_t **report) {
  return (void)bundle, (void)out, (void)report, moon_onnx_ready();
}

moon_status moon_onnx_export_module(const struct moon_module *module, moon_buf *out) {
  return (void)module, (void)out, moon_onnx_ready();
}

moon_status moon_onnx_import(const char *name, const char *bytes, size_t n, json_t **layers) {
  return (void)name, (void)bytes, (void)n, (void)layers, moon_onnx_ready();
}
