// LazyArray: a zeroed array whose untouched pages cost no memory, for tables with one entry a block or slot of the whole arena.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

namespace tv::shm {

template <class T>
class LazyArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  // calloc of a large size maps zero pages and touches none.
  explicit LazyArray(std::size_t count) : items_(static_cast<T*>(std::calloc(count == 0 ? 1 : count, sizeof(T)))) {
    if (!items_) throw std::bad_alloc();
  }
  T& operator[](std::size_t i) { return items_.get()[i]; }
  const T& operator[](std::size_t i) const { return items_.get()[i]; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> items_;
};

}  // namespace tv::shm
