# Of the output of --help, a line for each option and argument: VERB<TAB>WHAT. Give the verb with -v verb='arena top'.
# CLI11 writes the names of its sections in capitals or not, as its version has it.
/^[A-Za-z]+:$/ { section = tolower($0); next }
/^$/ { next }
/^[^ ]/ { section = ""; next }
section == "options:" && /^  -/ {
  count = split($1, names, ",")
  if (names[count] == "--help") next
  takes = $2 ~ /^[A-Z][A-Z:|]*$/ ? " " $2 : ""
  if (match($1, /=.*/)) exit 1
  sub(/:.*/, "", takes)
  for (i = 1; i <= count; i++) print verb "\t" names[i] takes
}
section == "positionals:" && /^  [a-z]/ {
  name = $2
  sub(/:.*/, "", name)
  several = $3 == "..." ? " ..." : ""
  required = $0 ~ /^  [^ ]+ [^ ]+( \.\.\.)? REQUIRED/
  print verb "\t" (required ? name several : "[" name several "]")
}
