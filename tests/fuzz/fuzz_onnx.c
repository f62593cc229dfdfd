/* Any bytes as an ONNX file: refused, or layers that a module can be made of. */
#include "fuzz/fuzz.h"
#include "nn/module.h"
#include "onnx/onnx.h"

static void check_layers(json_t *layers) {
  moon_module *module;
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  const moon_form form = {.name = "x", .dims = 1, .shape = {(size_t)json_integer_value(json_object_get(layers, "width"))}};
  moon_status status = moon_module_new(layers, MOON_F32, &form, 1, &rng, &module);
  check(!status.code || strstr(status.message, "not finite")); /* of the numbers nothing else is said before */
  moon_module_free(status.code ? NULL : module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  json_t *layers = NULL;
  moon_status status = moon_onnx_import("file", (const char *)data, size, &layers);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT || status.code == MOON_EINVAL || status.code == MOON_ELIMIT);
  check(moon_utf8_prefix(status.message, strlen(status.message)) == strlen(status.message));
  check((status.code == MOON_OK) == (layers != NULL));
  if (layers) check_layers(layers);
  json_decref(layers);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char *const nets[] = {"{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\"}",
                                     "{\"type\":\"sequential\",\"layers\":[{\"type\":\"batch_norm\"},{\"type\":\"dense\","
                                     "\"units\":3,\"bias\":false},{\"type\":\"dense\",\"units\":1,"
                                     "\"activation\":\"leaky_relu\"}]}"};
  if (moon_onnx_ready().code || which >= sizeof nets / sizeof *nets) return 0;
  json_t *spec = json_loads(nets[which], 0, NULL);
  moon_module *module;
  moon_buf bytes = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 1, 0);
  const moon_form form = {.name = "x", .dims = 1, .shape = {4}};
  check(!moon_module_new(spec, MOON_F32, &form, 1, &rng, &module).code && !moon_onnx_export_module(module, &bytes).code);
  size_t n = moon_fuzz_put(bytes.data, bytes.n, out, cap);
  moon_buf_free(&bytes);
  moon_module_free(module);
  json_decref(spec);
  return n;
}
