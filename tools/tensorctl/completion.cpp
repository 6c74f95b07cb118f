// tensorctl completion: scripts for shells, from the definitions of the command line. The shells differ in how they are told; what may
// stand where is the same for all. Names are asked of the daemon while one types (lists with -o name), for a second at most, and a daemon
// that is not there gives none.
#include <algorithm>

#include "tools/tensorctl/cli.h"
#include "tools/tensorctl/top_sample.h"

namespace tv::ctl {
namespace {

// What may stand where an argument stands: words, and questions to the daemon.
struct Candidates {
  std::vector<std::string> words;
  std::vector<std::string> asks;
  bool files = false;
};

std::vector<std::string> kinds(bool with_objects) {
  std::vector<std::string> all;
  for (Kind kind : {Kind::kWorker, Kind::kActor, Kind::kPool, Kind::kGroup, Kind::kParticipant, Kind::kObject})
    if (with_objects || kind != Kind::kObject) all.emplace_back(plural(kind));
  return all;
}

Candidates candidates_of(const Command& command) {
  Candidates out{command.words, {}, false};
  if (!command.verb) return out;
  for (Kind kind : kinds_of(*command.verb)) out.asks.push_back("list " + std::string(plural(kind)));
  switch (*command.verb) {
    case Verb::kCall:
      out.asks = {"list actors", "list pools"};
      break;
    case Verb::kRestore:
    case Verb::kCheckpointsList:
    case Verb::kCheckpointsVerify:
      out.asks = {"list actors"};
      break;
    case Verb::kArenaWho:
      out.asks = {"list objects --named"};
      break;
    case Verb::kCachePin:
    case Verb::kCacheUnpin:
    case Verb::kCacheRemove:
      out.asks = {"cache list"};
      break;
    case Verb::kLettersShow:
    case Verb::kLettersReplay:
    case Verb::kLettersPurge:
      out.asks = {"dead-letters list"};
      break;
    case Verb::kList:
      if (!command.arguments.empty()) out.words = kinds(true);
      break;
    case Verb::kDescribe:
      for (Kind kind : {Kind::kWorker, Kind::kActor, Kind::kPool, Kind::kGroup, Kind::kParticipant, Kind::kObject})
        out.words.emplace_back(singular(kind));
      for (const auto& kind : kinds(false)) out.asks.push_back("list " + kind);
      out.asks.push_back("list objects --named");
      break;
    case Verb::kCompletion:
      out.words = {"bash", "zsh", "fish"};
      break;
    case Verb::kInject:
      out.words = fault_names();
      out.asks = {"list workers", "list actors"};
      break;
    case Verb::kLogs:
    case Verb::kEvents:
      for (Kind kind : {Kind::kWorker, Kind::kActor, Kind::kPool, Kind::kGroup}) out.asks.push_back("list " + std::string(plural(kind)));
      break;
    case Verb::kUpgrade:
      out.files = true;
      break;
    default:
      break;
  }
  return out;
}

std::string joined(const std::vector<std::string>& words, const std::string& between = " ") {
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : between) + word;
  return all;
}

// Words that follow an option; {"<files>"} for a path.
std::vector<std::string> values_of(const Command::Option& option) {
  if (option.takes == "FORM") return {"table", "wide", "json", "yaml", "name"};
  if (option.takes == "STATE") return {"ready", "stopped"};
  if (option.takes == "SIGNAL") return signal_names();
  if (option.takes == "LEVEL") return {"debug", "info", "notice", "warning", "error"};
  if (option.takes == "BY") return top_sort_names();
  if (option.takes == "DIR" || option.takes == "FILE") return {"<files>"};
  return {};
}

std::vector<std::string> names_of(const Command& command) {
  std::vector<std::string> names;
  for (const auto& option : command.options) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

// Every option that takes a word, once.
std::vector<Command::Option> options_with_words(const std::vector<Command>& commands) {
  std::vector<Command::Option> all;
  std::vector<std::string> seen;
  for (const auto& command : commands)
    for (const auto& option : command.options) {
      if (option.takes.empty() || std::find(seen.begin(), seen.end(), option.names.back()) != seen.end()) continue;
      seen.push_back(option.names.back());
      all.push_back(option);
    }
  return all;
}

std::string names_with_words(const std::vector<Command>& commands, const std::string& between) {
  std::vector<std::string> names;
  for (const auto& option : options_with_words(commands)) names.insert(names.end(), option.names.begin(), option.names.end());
  return joined(names, between);
}

std::string paths(const std::vector<Command>& commands) {
  std::string all;
  for (const auto& command : commands)
    if (!command.path.empty()) all += (all.empty() ? "'" : "|'") + command.path + "'";
  return all;
}

// bash and zsh have the same grammar as far as this goes: what sets `words`, `asks`, `options` and `files` for `verb`, and for `previous`.
std::string cases(const std::vector<Command>& commands) {
  std::string out = "  case \"$previous\" in\n";
  for (const auto& option : options_with_words(commands)) {
    auto values = values_of(option);
    bool path = values == std::vector<std::string>{"<files>"};
    out += "    " + joined(option.names, "|") + ") " + (path ? "files=1" : "candidates='" + joined(values) + "'") + "; value=1 ;;\n";
  }
  out += "  esac\n  [[ $value ]] || case \"$verb\" in\n";
  for (const auto& command : commands) {
    auto may = candidates_of(command);
    out += "    '" + command.path + "') options='" + joined(names_of(command)) + "'; candidates='" + joined(may.words) + "'";
    if (!may.asks.empty()) out += "; asks='" + joined(may.asks, ";") + "'";
    if (may.files) out += "; files=1";
    out += " ;;\n";
  }
  return out + "  esac\n";
}

// Sets `verb` from the words before the one that is being typed, and `where` from --runtime-dir among them.
std::string find_verb(const std::vector<Command>& commands) {
  return R"sh(  local skip= word
  for word in "${before[@]}"; do
    if [[ $skip ]]; then
      [[ $skip == -r || $skip == --runtime-dir ]] && where=(-r "$word")
      skip=
      continue
    fi
    case "$word" in
      )sh" +
         names_with_words(commands, "|") + R"sh() skip=$word; continue ;;
      --runtime-dir=*) where=("$word"); continue ;;
      -*) continue ;;
    esac
    case "${verb:+$verb }$word" in
      )sh" +
         paths(commands) + R"sh() verb="${verb:+$verb }$word" ;;
    esac
  done
)sh";
}

std::string bash_script(const std::vector<Command>& commands) {
  return R"sh(# bash completion for tensorctl, written by `tensorctl completion bash`.
_tensorctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]}
  local verb= candidates= asks= options= files= value= ask
  local -a where=() before=("${COMP_WORDS[@]:1:COMP_CWORD - 1}")
)sh" + find_verb(commands) +
         cases(commands) + R"sh(  COMPREPLY=()
  if [[ $current == -* && ! $value ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options )sh" +
         joined(names_of(commands.front())) + R"sh(" -- "$current")
    return
  fi
  local IFS=';'
  for ask in $asks; do
    IFS=' '
    candidates+=" $("$program" "${where[@]}" $ask -o name --timeout 1s 2>/dev/null)"
    IFS=';'
  done
  IFS=$' \n'
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$current")
  [[ $files ]] && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
}
complete -F _tensorctl tensorctl
)sh";
}

std::string zsh_script(const std::vector<Command>& commands) {
  return R"sh(#compdef tensorctl
# zsh completion for tensorctl, written by `tensorctl completion zsh`.
_tensorctl() {
  local current=${words[CURRENT]} previous=${words[CURRENT-1]} program=${words[1]}
  local verb= candidates= asks= options= files= value= ask
  local -a where before
  before=("${(@)words[2,CURRENT-1]}")
)sh" + find_verb(commands) +
         cases(commands) + R"sh(  if [[ $current == -* && ! $value ]]; then
    compadd -- ${=options} )sh" +
         joined(names_of(commands.front())) + R"sh(
    return
  fi
  for ask in ${(s:;:)asks}; do
    candidates+=" $($program "${where[@]}" ${=ask} -o name --timeout 1s 2>/dev/null)"
  done
  compadd -- ${=candidates}
  [[ $files ]] && _files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _tensorctl "$@"; else compdef _tensorctl tensorctl; fi
)sh";
}

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "'";
}

std::string fish_script(const std::vector<Command>& commands) {
  std::string out = R"sh(# fish completion for tensorctl, written by `tensorctl completion fish`.
function __tensorctl_verb
    set -l verb
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word )sh" +
                    names_with_words(commands, " ") + R"sh(
            set skip 1
        else if not string match -q -- '-*' $word
            contains -- "$(string trim -- "$verb $word")" )sh";
  for (const auto& command : commands)
    if (!command.path.empty()) out += "'" + command.path + "' ";
  out += R"sh(; and set verb (string trim -- "$verb $word")
        end
    end
    echo $verb
end
function __tensorctl_at
    test "$(__tensorctl_verb)" = "$argv[1]"
end
function __tensorctl_ask
    set -l words (commandline -opc)
    set -l where
    for i in (seq 2 (count $words))
        switch $words[$i]
            case -r --runtime-dir
                test $i -lt (count $words); and set where -r $words[(math $i + 1)]
            case '--runtime-dir=*'
                set where $words[$i]
        end
    end
    $words[1] $where $argv -o name --timeout 1s 2>/dev/null
end
complete -c tensorctl -f
)sh";
  for (const auto& command : commands) {
    auto may = candidates_of(command);
    std::string at = "complete -c tensorctl -n '__tensorctl_at \"" + command.path + "\"'";
    for (const auto& word : may.words) {
      auto path = command.path.empty() ? word : command.path + " " + word;
      auto known = std::find_if(commands.begin(), commands.end(), [&](const Command& other) { return other.path == path; });
      out += at + " -a " + fish_quoted(word) + (known == commands.end() ? "" : " -d " + fish_quoted(known->about)) + "\n";
    }
    for (const auto& ask : may.asks) out += at + " -a '(__tensorctl_ask " + ask + ")'\n";
    if (may.files) out += at + " -F\n";
    for (const auto& option : command.options) {
      out += command.path.empty() ? "complete -c tensorctl" : at;
      for (const auto& name : option.names) out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      auto values = values_of(option);
      if (values == std::vector<std::string>{"<files>"})
        out += " -r -F";
      else if (!option.takes.empty())
        out += " -x" + (values.empty() ? "" : " -a " + fish_quoted(joined(values)));
      out += " -d " + fish_quoted(option.about) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(Shell shell) {
  auto commands = all_commands();
  if (shell == Shell::kBash) return bash_script(commands);
  return shell == Shell::kZsh ? zsh_script(commands) : fish_script(commands);
}

}  // namespace tv::ctl
