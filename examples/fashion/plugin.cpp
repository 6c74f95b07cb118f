#include "classifier.h"
#include "trainer.h"

TV_PLUGIN(registry) {
  registry.add<fashion::TrainerActor, fashion::Trainer>().method(fashion::Trainer::train, &fashion::TrainerActor::train);
  registry.add<fashion::ClassifierActor, fashion::Classifier>()
      .method(fashion::Classifier::classify, &fashion::ClassifierActor::classify)
      .method(fashion::Classifier::weights, &fashion::ClassifierActor::weights);
}
