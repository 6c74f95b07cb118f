// What a process that died of SIGSEGV or SIGBUS wrote to, in words: from the note that it left (shm/fault_note.h) and what lies there now.
// To be asked before the clean-up, while the objects are where they were.
#pragma once

#include <string>

#include "shm/directory.h"

namespace tv::supervisor {

// `actor "a" wrote to tensor 12.3 (float32[1000]) of worker "b", which is sealed`; empty when it left no note. The note is cleared.
std::string take_fault_report(const shm::Directory& directory, ParticipantId dead);

}  // namespace tv::supervisor
