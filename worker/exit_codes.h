// Exit codes of a worker; the supervisor tells the cause of a death by them. The numbers are sysexits.h's.
#pragma once

namespace tv::worker {

inline constexpr int kExitStopped = 0;          // asked to stop
inline constexpr int kExitActorBug = 70;        // EX_SOFTWARE: an exception where none can be answered
inline constexpr int kExitSupervisorLost = 74;  // EX_IOERR
inline constexpr int kExitDeviceError = 75;     // EX_TEMPFAIL: the device's context is poisoned; a fresh process works
inline constexpr int kExitCannotWork = 78;      // EX_CONFIG: not restarted

}  // namespace tv::worker
