// The memory that nghttp2 works with: small blocks that it frees are kept for its next ones, by
// thread and by size. It makes and frees several for each frame, and with hundreds of streams in
// flight frees more at a time than malloc keeps for a thread without searching.
//
// Every block is one of malloc's, so blocks may be freed on another thread than they were made on.
// Built with a sanitizer nothing is kept, so that it sees every use of a block after its end.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>

namespace sluice::h2_memory {

// The largest block that is kept, and how much a thread keeps of all.
inline constexpr size_t kMaxBlock = 1024;
inline constexpr size_t kMaxKept = 1024 * 1024;

// As malloc, calloc, realloc and free; null when there is no memory.
void* Allocate(size_t size);
void* AllocateZeroed(size_t count, size_t size);
void* Reallocate(void* block, size_t size);
void Free(void* block);

// False in a build with a sanitizer.
bool Keeps();

// Bytes that this thread keeps; given back when it ends.
size_t KeptBytes();

// All of it, as nghttp2 takes it.
nghttp2_mem* ForNghttp2();

}  // namespace sluice::h2_memory
