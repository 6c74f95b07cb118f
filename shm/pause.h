// pause_cpu(): one instruction that tells the core that it is waiting for another's store. Takes some 10 to 50 ns.
#pragma once

namespace tv::shm {

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace tv::shm
