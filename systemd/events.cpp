#include "systemd/events.h"

#include <algorithm>
#include <array>
#include <string>

namespace tv::systemd {
namespace {

// By event, for the search.
constexpr std::array kKinds = {
    EventKind{"SIGHUP ignored", "b8efa1e2e7645be7b7c2a64346401150"},
    EventKind{"actor failed", "9cc107b807dd5668a4c9ec784fe9f4ad"},
    EventKind{"actor gets another chance", "b20eca3f04c657c1962533f17b6ea450"},
    EventKind{"actor healthy again", "c6996ecd0b70572eaf4fc3f09e13dfd0"},
    EventKind{"actor moved", "99c17121f7305de0b82da2c6baa18ecd"},
    EventKind{"actor not moved", "ddda88ec8a045b0fb243a5f0dde19646"},
    EventKind{"actor ready", "96efef11fa91531ebb16579848112e60"},
    EventKind{"actor restarts", "e274174b0b355570a96fef4500497abe"},
    EventKind{"actor stopped", "437683afbec55b6bab69e01b07f600ac"},
    EventKind{"actor unhealthy", "8d424dcce90a54a996f70d1e86c8f7d3"},
    EventKind{"actor withheld", "9db47fd861885e689fa0ef5216b10c19"},
    EventKind{"answer dropped", "a3a525ac94b354b0a4e57c1d98fc7b6f"},
    EventKind{"arena cleaned up", "5d0fc14810c55eb79fb97925fa3e8098"},
    EventKind{"cached tensor pinned by an administrator", "8c12bf0f31ca57aeaa29c581972aab4a"},
    EventKind{"cached tensor unpinned by an administrator", "01801129d14c5fb5a9700cbd395bb796"},
    EventKind{"cannot start again without threads", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"cannot work", "dff771849e1e56df9ee98b371425cc19"},
    EventKind{"checkpoint failed", "26ff5a9278785955ad920dc5f47ed982"},
    EventKind{"checkpoint writer died", "e738cd6dd8c450f5991d4c02504abf64"},
    EventKind{"checkpoint writer ends", "2160c0a5773b5065ba70dc6f46ed8c8c"},
    EventKind{"checkpoint writer killed", "9cdb497f92bf5d5a9b9da55a7ffb031d"},
    EventKind{"checkpoint writer started", "6b86803be17a52c0a799b3c5ae120db4"},
    EventKind{"checkpoints not listed", "48b136a623555948b75f1519bbff77cf"},
    EventKind{"checkpoints work again", "cef32b0a429e51d78259f0c169016fdc"},
    EventKind{"chore begins", "60e1c8238c3a5749b3cdfe72e9580f11"},
    EventKind{"chore cancelled", "bd83007d934e5f99b9c1cbc656af8f78"},
    EventKind{"chore done", "13d72b5f94815c29877487f0b9042520"},
    EventKind{"chore failed", "53baf4d5995950b0b1786403046ef20d"},
    EventKind{"chore goes on", "a732c383de875075a6f6d08f4a01b5d0"},
    EventKind{"client attached", "1f28292183f053f1b41290674a07358d"},
    EventKind{"client detached", "44cd6a8f1cce5563ae3416e9da945acc"},
    EventKind{"client died", "f65fbb6702fe53d78dd0bc23e55eac36"},
    EventKind{"client refused", "0b6f8eb710bd5ebeaac1a6440d34581e"},
    EventKind{"client turned away", "46170f6ab7415ddf9015148765ee1b37"},
    EventKind{"commits not on disk", "2bbe3348292c54c9bf1b5cb0dcf1e709"},
    EventKind{"committed state lost", "8da10acc3fe85de9bb42438f3c41b858"},
    EventKind{"configuration", "e4e864692b515310aee9b06b4bea9923"},
    EventKind{"connection not accepted", "38d423c2a5015608af74f36f8fba3948"},
    EventKind{"connection turned away", "6b78428ce6e152608927b8f1a880ba8c"},
    EventKind{"daemon failed", "e75947c536d15558b9f7eb762492face"},
    EventKind{"daemon not ready", "c94e312f319a5bb9b329a06bd45fbefa"},
    EventKind{"daemon not started", "1a98be92e0a651e297fbd7ade18e268c"},
    EventKind{"daemon ready", "47b06d0f52b45a38959e13354984f236"},
    EventKind{"daemon started", "5e43ea437da551f6bb2019429e8ec804"},
    EventKind{"daemon stopped", "c631e92c0c7051beae1344307b299289"},
    EventKind{"daemon stopping", "f7d733dfbe8b54d1830953308891e62d"},
    EventKind{"damaged file not set aside", "dc3773fdd69d5b15b131a17eb2040d5b"},
    EventKind{"dead letter not kept", "ed46e6b081bd54679e04396e15d52f39"},
    EventKind{"dead letter purged", "1ee08a7d21315089ab4768401d6ba50f"},
    EventKind{"dead letter refused", "64b93eab0fdf55e6ab09695d5bc43c6f"},
    EventKind{"dead letter replayed", "5d1af64350f85f26a638ea27eb83fbb0"},
    EventKind{"dead letter taken", "9e5373edb23850459d431e0bfa800162"},
    EventKind{"dead letters dropped", "ba9023f1a33e55b6acc280a233dcbdb0"},
    EventKind{"dead letters purged", "e954a468044d5be6b857a97a4a1defe6"},
    EventKind{"death charged", "3e894c70dc7554939b90133072f819e5"},
    EventKind{"device lost", "d351381f8aeb56768c9e2033ecf4490c"},
    EventKind{"everything has stopped by itself", "bf7067a7ee175a27aafc2da3ad1756cb"},
    EventKind{"fork failed", "292c972e0009538ea80a1a10c939348e"},
    EventKind{"fork put off", "cb8602583f165c009e6c0808cce5ff4f"},
    EventKind{"fork request dropped", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"generation damaged", "dd301f80f0b65151a25891d973b82a12"},
    EventKind{"group failed", "774d7f85def5538d8f863411d60db52f"},
    EventKind{"group fails", "9dd5bbc0a65355d2b37688395f7d79e6"},
    EventKind{"group gets another chance", "dbe832145c9b5b31be0e43cf4db5843f"},
    EventKind{"group restarts", "6b2097cf76465324995048e98039abbf"},
    EventKind{"internal error", "64eacb53575d578a91929100b9c7fdda"},
    EventKind{"journal records lost", "969b7dffc3f9533290aa996276f9f7a3"},
    EventKind{"killing workers", "05900445d25f58f08072c2acdc89ef34"},
    EventKind{"leaving in the middle of a message", "4f19ef4a774c5970b23044f10b296e62"},
    EventKind{"leftovers not removed", "a652a913b6a954cf944332b2a588084d"},
    EventKind{"limit of open files not raised", "c73b3a0d3e785922b264c759572e300d"},
    EventKind{"malformed message dropped", "24fcf137f8af523dbe6656571211003a"},
    EventKind{"memory not kept ready", "8e13d6dbbfaa53049d1f97f4e0f940d8"},
    EventKind{"message of the supervisor dropped", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"message to the supervisor dropped", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"messages let go without a commit", "679002e4398556a39f13153bc107a14a"},
    EventKind{"name removed by an administrator", "28e1dd1ca4db566e8bbd023b95086b87"},
    EventKind{"no generation is whole", "0cd9b999877e5753bf4912209253e1ac"},
    EventKind{"no huge pages", "3ea1c445046c5470895eed914eb53150"},
    EventKind{"no welcome from the supervisor", "2c6151814bec5013861ea604a302cf42"},
    EventKind{"old generation not removed", "fc8fe2c1b45157f4b4ab46ae7a6a9afc"},
    EventKind{"on_stop threw", "a60c745b46095e308711f3bf0b2ce2c8"},
    EventKind{"one-way message failed", "208dff945e115ddda80e2653f071dc83"},
    EventKind{"order for an actor of another worker", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"orphan ended", "054d4346a4dc591f90e8e506b064f36b"},
    EventKind{"orphan reaped", "054d4346a4dc591f90e8e506b064f36b"},
    EventKind{"output not carried", "ee043ac7c2385eeab6a2d11b7467f5c0"},
    EventKind{"passed socket not used", "0fe3cc837b5e5187acccf0959353bafd"},
    EventKind{"passed sockets not taken", "29e2a7085a025847896b9f643c784f59"},
    EventKind{"poll failed", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"replay is not deterministic", "17131156dba3596b8a97252855912537"},
    EventKind{"reset ordered", "e4321bfdbe9955ddb5aa73c1a95a91f7"},
    EventKind{"restart ordered", "62aa5932af105cb48453db239f1faa01"},
    EventKind{"restarts will take longer", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"restore ordered", "025625fb7f245b5184ffafc7f882f610"},
    EventKind{"signal sent by an administrator", "66f51f1183a256ebba6589faa5815983"},
    EventKind{"socket not removed", "67d0a58363dc5a47a53378d6e7ccc8dc"},
    EventKind{"spare died", "5a70d9a0d8da54f7b3f76825d7885391"},
    EventKind{"spill directory not emptied", "5f6f8e85b91e5a88b6e277cfd4129e7e"},
    EventKind{"spilled tensor damaged", "4d47ed47b97e557b90563759c791c0e7"},
    EventKind{"stack dump", "4c61b6a09cee54298697f565d8c3d489"},
    EventKind{"stale socket removed", "d143477773a85389911e7d25fe0345a3"},
    EventKind{"state committed again", "e04e10e0874058ca9de3f4a48acd88cb"},
    EventKind{"state lost at the stop", "62e7effe9ec9574d9d87071461cea14d"},
    EventKind{"state not committed", "9127367cae5b523a86c0402668607765"},
    EventKind{"state not restored", "90d2749ba7575e469a3d94966d6cf27b"},
    EventKind{"state restored", "670d63874f5157cca34d5360620e999b"},
    EventKind{"stop ordered", "ef52365f039d5fa49db55560a5f175a2"},
    EventKind{"stop was forced", "5a0afd6de04b54ad8c3cc9a336ff4ea5"},
    EventKind{"supervisor lost", "3bbef8327cef503c902d20f2b331ab17"},
    EventKind{"tensor not spilled", "4101dd2079ef577e93a675b212488fca"},
    EventKind{"the continuation of a call threw", "742537dec3905ecaaccf6bdc417c02d8"},
    EventKind{"undrain ordered", "126cc1f9767d50f6af18797f443a790d"},
    EventKind{"unfinished generations removed", "81bc471f4a4f54cfbfe89e5d4c37ad17"},
    EventKind{"unhandled exception", "170ce407a07e5a9ba546d8b1e687cd7b"},
    EventKind{"variable not set", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"watchdog not fed", "ef52f8db92385d9491fa7cd753922784"},
    EventKind{"worker died", "b2988746df885c21af3502f270589e23"},
    EventKind{"worker does not end", "1d5750ee6b2c57449ea2ca2f05256736"},
    EventKind{"worker ended", "6112b69e4a205fe690e36120640ca7df"},
    EventKind{"worker gets another chance", "91041030e0095e679ab6d1d54acf36ed"},
    EventKind{"worker given up", "7e15dd4c1b275fcd83c0365349008690"},
    EventKind{"worker hangs", "88da9eec27fa5ea8ae2a81a2f9dd0258"},
    EventKind{"worker not killed", "42a0a7a0c1f95533ac75ae877293a3b6"},
    EventKind{"worker output", "d0d41cb11e105b5ab6c553c5c57bda3a"},
    EventKind{"worker output suppressed", "fc665f2beee455efbbdbdeffa8068495"},
    EventKind{"worker ready", "0ecda3261d1f5654b58df9a2cf75f85d"},
    EventKind{"worker refused", "865ad7173bcc5bb592fd9e3958ab1242"},
    EventKind{"worker restarts", "d337f3b2b8535304bf8c7287c46767ce"},
    EventKind{"worker starting", "b4c30a2f6c955f59b344b2fa2be4ccfb"},
    EventKind{"worker stopped", "2acee6043ede5868af016e811729a5b2"},
    EventKind{"workers left behind", "aa32e2b08892524996ff9d16556e78f1"},
    EventKind{"zygote cannot serve", "662acb096ea15a1c9dc089623d790c3f"},
    EventKind{"zygote died", "e29fd16c5cf0522b99eb5ee35d0f6ca0"},
    EventKind{"zygote killed", "bb5a8cdae33652f1b00500e9bb3d46c6"},
    EventKind{"zygote ready", "5cf8d07bf2c95bffa330022ead524a43"},
    EventKind{"zygote started", "33859a92530a519e8e2f6a7d4af7c833"},
};
static_assert(std::is_sorted(kKinds.begin(), kKinds.end(), [](const EventKind& a, const EventKind& b) { return a.event < b.event; }));

// Of what event this is the last word or two: those of maintenance.cpp begin with the name of a chore.
constexpr std::array<std::string_view, 5> kChoreEndings = {"begins", "goes on", "done", "cancelled", "failed"};

std::string_view exactly(std::string_view event) {
  auto kind = std::lower_bound(kKinds.begin(), kKinds.end(), event, [](const EventKind& a, std::string_view b) { return a.event < b; });
  return kind != kKinds.end() && kind->event == event ? kind->message_id : std::string_view();
}

}  // namespace

std::span<const EventKind> event_kinds() { return kKinds; }

std::string_view message_id(std::string_view event) {
  auto id = exactly(event);
  if (!id.empty()) return id;
  for (auto ending : kChoreEndings)
    if (event.size() > ending.size() && event.ends_with(ending) && event[event.size() - ending.size() - 1] == ' ')
      return exactly("chore " + std::string(ending));
  return {};
}

}  // namespace tv::systemd
