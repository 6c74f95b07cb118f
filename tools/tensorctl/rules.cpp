// What each verb is, for the options that go with some verbs only.
#include "tools/tensorctl/cli.h"

namespace tv::ctl {

bool is_list(Verb verb) {
  return verb == Verb::kList || verb == Verb::kLettersList || verb == Verb::kCacheList || verb == Verb::kCheckpointsList;
}

bool looks(Verb verb) {
  switch (verb) {
    case Verb::kStatus:
    case Verb::kDescribe:
    case Verb::kHealth:
    case Verb::kArenaStats:
    case Verb::kArenaWho:
    case Verb::kArenaLeaks:
    case Verb::kArenaTop: return true;
    default: return is_list(verb);
  }
}

bool may_wait(Verb verb) {
  switch (verb) {
    case Verb::kStart:
    case Verb::kStop:
    case Verb::kRestart:
    case Verb::kKill:
    case Verb::kResetFailed:
    case Verb::kCheckpoint:
    case Verb::kRestore: return true;
    default: return verb >= Verb::kDrain;
  }
}

bool changes_something(Verb verb) {
  switch (verb) {
    case Verb::kStart:
    case Verb::kStop:
    case Verb::kRestart:
    case Verb::kKill:
    case Verb::kShutdown:
    case Verb::kUpgrade:
    case Verb::kConfigReload:
    case Verb::kResetFailed:
    case Verb::kLettersReplay:
    case Verb::kLettersPurge:
    case Verb::kCachePin:
    case Verb::kCacheUnpin:
    case Verb::kCacheRemove:
    case Verb::kCheckpoint:
    case Verb::kRestore: return true;
    default: return verb >= Verb::kDrain;
  }
}

std::vector<Kind> kinds_of(Verb verb) {
  switch (verb) {
    case Verb::kKill: return {Kind::kWorker};
    case Verb::kScale: return {Kind::kPool};
    case Verb::kCheckpoint: return {Kind::kPool, Kind::kActor};
    case Verb::kStart:
    case Verb::kStop:
    case Verb::kRestart:
    case Verb::kResetFailed:
    case Verb::kWait:
    case Verb::kHealth: return {Kind::kWorker, Kind::kPool, Kind::kActor, Kind::kGroup};
    case Verb::kDrain:
    case Verb::kUndrain:
    case Verb::kRoll:
    case Verb::kSuspend:
    case Verb::kResume: return {Kind::kWorker, Kind::kPool, Kind::kActor};
    default: return {};
  }
}

}  // namespace tv::ctl
