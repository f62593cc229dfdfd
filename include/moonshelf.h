/* moonshelf.h - everything public: link with `pkg-config --libs moonshelf`. */
#ifndef MOONSHELF_H
#define MOONSHELF_H

#include "moonshelf/lua.h"
#include "moonshelf/runtime.h"
#include "moonshelf/status.h"
#include "moonshelf/tensor.h"

#endif
