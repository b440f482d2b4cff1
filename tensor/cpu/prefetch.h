// Numbers that will be read or written, asked for before.
//
// Always inlined: of a function that does nothing but ask, GCC 12 finds that it has no effect, and drops the
// calls.
#pragma once

#include <cstdint>

namespace dcl::tensor::cpu {

#define DCL_ALWAYS_INLINE [[gnu::always_inline]] inline

/// Calls ask(line) for the first number of each cache line of `count` numbers; none is read, so they may lie
/// behind an end.
template <class T, class Ask>
DCL_ALWAYS_INLINE void for_each_line(const T* x, std::int64_t count, Ask ask) {
  constexpr auto line = static_cast<std::int64_t>(64 / sizeof(T));
  for (std::int64_t i = 0; i < count; i += line) ask(x + i);
}

/// To be read soon.
template <class T>
DCL_ALWAYS_INLINE void prefetch_to_l1(const T* x, std::int64_t count) {
  for_each_line(x, count, [](const T* line) __attribute__((always_inline)) { __builtin_prefetch(line); });
}

/// To be read later: where they do not drive out what is read now.
template <class T>
DCL_ALWAYS_INLINE void prefetch_to_l2(const T* x, std::int64_t count) {
  for_each_line(x, count,
                [](const T* line) __attribute__((always_inline)) { __builtin_prefetch(line, 0, 2); });
}

/// To be written soon.
template <class T>
DCL_ALWAYS_INLINE void prefetch_to_write(T* x, std::int64_t count) {
  for_each_line(x, count, [](const T* line) __attribute__((always_inline)) { __builtin_prefetch(line, 1); });
}

}  // namespace dcl::tensor::cpu
