/* safetensors.h - the format's dtypes, shared by its reader and its writer. */
#ifndef MOON_NN_SAFETENSORS_H
#define MOON_NN_SAFETENSORS_H
#include "nn/nn.h"

#define MOON_SAFETENSORS_HEADER_LIMIT 100000000u /* the reference implementation's */

/* Files of others may hold types that we do not compute with; their sizes are known, so that offsets can still be checked. */
typedef struct moon_file_dtype {
  const char *name;
  size_t size;
  int dtype; /* a moon_dtype, or -1 */
} moon_file_dtype;
const char *moon_file_dtype_name(moon_dtype dtype);

#endif
