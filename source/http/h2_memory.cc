#include "http/h2_memory.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace sluice::h2_memory {
namespace {

#if defined(__has_feature)
#define SLUICE_HAS_FEATURE(feature) __has_feature(feature)
#else
#define SLUICE_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    SLUICE_HAS_FEATURE(address_sanitizer) || SLUICE_HAS_FEATURE(thread_sanitizer)
constexpr bool kKeeps = false;
#else
constexpr bool kKeeps = true;
#endif

// Blocks of class c have room for c * kStep bytes less what malloc itself needs, which makes them
// fill its own chunks.
constexpr size_t kStep = 64;
constexpr size_t kChunkHeader = sizeof(size_t);
constexpr size_t kClasses = (kMaxBlock + kChunkHeader + kStep - 1) / kStep + 1;

constexpr size_t ClassFor(size_t size) { return (size + kChunkHeader + kStep - 1) / kStep; }
constexpr size_t RoomOf(size_t size_class) { return size_class * kStep - kChunkHeader; }
// Rounded down: realloc may leave a block between two classes.
size_t ClassOf(void* block) { return (malloc_usable_size(block) + kChunkHeader) / kStep; }

struct FreeBlock {
  FreeBlock* next;
};

// Without a destructor, since sessions may end later in a thread than what has one.
struct Kept {
  FreeBlock* first[kClasses];
  size_t bytes;
  bool ended;
};
thread_local constinit Kept kept{};

struct AtThreadEnd {
  ~AtThreadEnd() {
    kept.ended = true;
    for (FreeBlock*& first : kept.first) {
      while (first != nullptr) {
        FreeBlock* const block = first;
        first = block->next;
        std::free(block);
      }
    }
    kept.bytes = 0;
  }
};

}  // namespace

void* Allocate(size_t size) {
  if (!kKeeps || size > kMaxBlock) return std::malloc(size);
  const size_t size_class = ClassFor(size);
  FreeBlock*& first = kept.first[size_class];
  if (first == nullptr) return std::malloc(RoomOf(size_class));
  FreeBlock* const block = first;
  first = block->next;
  kept.bytes -= size_class * kStep;
  return block;
}

void* AllocateZeroed(size_t count, size_t size) {
  size_t total = 0;
  if (__builtin_mul_overflow(count, size, &total)) return nullptr;
  if (!kKeeps || total > kMaxBlock) return std::calloc(count, size);
  void* const block = Allocate(total);
  if (block != nullptr) std::memset(block, 0, total);
  return block;
}

void* Reallocate(void* block, size_t size) {
  return block == nullptr ? Allocate(size) : std::realloc(block, size);
}

void Free(void* block) {
  if (block == nullptr) return;
  const size_t size_class = kKeeps ? ClassOf(block) : 0;
  const size_t bytes = size_class * kStep;
  if (size_class == 0 || size_class >= kClasses || kept.ended || kept.bytes + bytes > kMaxKept) {
    std::free(block);
    return;
  }
  if (kept.bytes == 0) {
    static thread_local const AtThreadEnd at_thread_end;
    static_cast<void>(&at_thread_end);
  }
  kept.first[size_class] = new (block) FreeBlock{kept.first[size_class]};
  kept.bytes += bytes;
}

bool Keeps() { return kKeeps; }

size_t KeptBytes() { return kept.bytes; }

nghttp2_mem* ForNghttp2() {
  static nghttp2_mem memory = {
      nullptr,
      [](size_t size, void*) { return Allocate(size); },
      [](void* block, void*) { Free(block); },
      [](size_t count, size_t size, void*) { return AllocateZeroed(count, size); },
      [](void* block, size_t size, void*) { return Reallocate(block, size); },
  };
  return &memory;
}

}  // namespace sluice::h2_memory
