#include "tests/support/plugins/flaky_actors.h"

TV_PLUGIN(registry) {
  using namespace tv::test;
  register_flaky_account<FlakyAccountActor>(registry);
  registry.add<FlakyTellerActor, FlakyTeller>()
      .method(FlakyTeller::transfer, &FlakyTellerActor::transfer)
      .method(FlakyTeller::transfers, &FlakyTellerActor::transfers);
}
