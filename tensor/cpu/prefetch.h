// Numbers that will be read or written, asked for before.
//
// A function that does nothing but ask has no effect, finds GCC 12, and drops the calls of it, and of whoever
// calls it for nothing else. An empty statement that counts as an effect stands beside each request.
#pragma once

#include <cstdint>

#include "tensor/cpu/ranges.h"

namespace dcl::tensor::cpu {

/// Calls ask(line) for the first number of each cache line of `count` numbers; none is read, so they may lie
/// behind an end.
template <class T, class Ask>
void for_each_line(const T* x, std::int64_t count, Ask ask) {
  constexpr auto line = static_cast<std::int64_t>(64 / sizeof(T));
  for (std::int64_t i = 0; i < count; i += line) ask(x + i);
  asm volatile("");
}

/// To be read soon.
template <class T>
void prefetch_to_l1(const T* x, std::int64_t count) {
  for_each_line(x, count, [](const T* line) { __builtin_prefetch(line); });
}

/// To be read later: where they do not drive out what is read now.
template <class T>
void prefetch_to_l2(const T* x, std::int64_t count) {
  for_each_line(x, count, [](const T* line) { __builtin_prefetch(line, 0, 2); });
}

/// How much of the next strip, of `n` numbers or rows, to ask for while a panel of `panels` is multiplied
/// with this one: where strips come one by one, a share beside each panel; where all strips pass by a panel,
/// all of it beside the first.
constexpr Range share_ahead(std::int64_t n, Range panels, std::int64_t panel, bool by_strips) {
  if (!by_strips) return {0, panel == panels.begin ? n : 0};
  const std::int64_t i = panel - panels.begin;
  return {n * i / panels.size(), n * (i + 1) / panels.size()};
}

/// To be written soon.
template <class T>
void prefetch_to_write(T* x, std::int64_t count) {
  for_each_line(x, count, [](const T* line) { __builtin_prefetch(line, 1); });
}

}  // namespace dcl::tensor::cpu
