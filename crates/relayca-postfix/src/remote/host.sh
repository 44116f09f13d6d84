# What follows is the same for every host. It needs sh, tar, sha256sum and Postfix, and runs as root.
umask 077
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin; export PATH
MAIL_CONFIG=$config; export MAIL_CONFIG
files=$config/relayca
work=
lock=$config/.relayca-lock
end=; reason=; journaled=no; made=false; locked=no; back=whole

# Answers are lines that begin with the token; a reader that went away is no reason to stop.
tell() { printf 'relayca:%s:%s\n' "$token" "$*" 2> /dev/null || :; }
say() { printf 'relayca: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }
give_up() { reason=$*; exit 1; }

# The first words of what a program complained about.
in_short() { tr -c '[:print:]\n' '?' < "$1" | sed -e 's/^relayca: //' -e '/^$/d' | head -n 6 | cut -c 1-300 | tr '\n' '|' | sed -e 's/|$//' -e 's/|/; /g'; }
notes() {
  sed -n 's/^relayca: warning: //p' "$1" | head -n 5 | tr -c '[:print:]\n' '?' | while read -r line; do tell "note $line"; done
}
sum() { sha256sum < "$1" | cut -c 1-64; }
runs() { postfix status > /dev/null 2>&1 9<&-; }
flush() { sync "$@" 2> /dev/null || sync; }

# Whether a file is for root alone.
is_private() {
  set -- $(ls -ldn "$1")
  case $1 in (-rw-------*) [ "$3:$4" = 0:0 ] ;; (*) return 1 ;; esac
}

# The digest of a private key's public half; `missing`, `unread`, or `unknown` where nothing here can read it.
key_is() {
  [ -s "$1" ] || { echo missing; return; }
  if command -v openssl > /dev/null; then
    found=$(openssl pkey -in "$1" -passin pass: -pubout -outform DER 2> /dev/null < /dev/null | sha256sum | cut -c 1-64)
    otherwise=unread
  elif command -v ssh-keygen > /dev/null && command -v base64 > /dev/null; then
    found=$(ssh-keygen -e -m PKCS8 -P '' -f "$1" 2> /dev/null < /dev/null | sed '/^-/d' | base64 -d 2> /dev/null | sha256sum | cut -c 1-64)
    otherwise=unknown
  else
    echo unknown; return
  fi
  # The digest of nothing.
  [ "$found" != e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ] || found=$otherwise
  echo "$found"
}

# Whether `relayca install` looks after this host.
is_installed() { [ -f "$files/installed.json" ] && tr -d ' \t\n' < "$files/installed.json" | grep -q "\"host\":\"$host\""; }

# Whether the database of a map says what its text says.
table_is_current() {
  [ -f "$1" ] && postmap -s "$1" > "$2/table" 2> /dev/null 9<&- || return 1
  awk '{ $1 = $1; print tolower($0) }' "$2/table" | sort > "$2/in-table"
  awk '!/^#/ && NF { $1 = $1; print tolower($0) }' "$1" | sort > "$2/in-text"
  cmp -s "$2/in-table" "$2/in-text"
}

# The settings, made in copies of main.cf and master.cf below a directory.
find_configuration() {
  [ "$(id -u)" = 0 ] || give_up 'this must run as root: log in as root, or set `sudo = true` for the host'
  for program in tar sha256sum readlink postconf postfix postmap; do
    command -v "$program" > /dev/null || give_up "there is no $program"
  done
  [ -d "$config" ] || give_up "there is no directory $config"
  for file in main.cf master.cf; do
    [ -f "$config/$file" ] || give_up "$config/$file is missing; is Postfix installed there?"
  done
  main=$(readlink -f "$config/main.cf"); master=$(readlink -f "$config/master.cf")
  case $main$master in (*[!A-Za-z0-9/._-]*) give_up "main.cf or master.cf is a link to an odd path" ;; esac
}
copies() { mkdir "$1/cf" "$1/w" && cp -p "$main" "$1/cf/main.cf" && cp -p "$master" "$1/cf/master.cf"; }
ask() ( set -eu; checks )
settings() (
  set -eu
  umask 022
  MAIL_CONFIG=$1/cf; main=$1/cf/main.cf; master=$1/cf/master.cf; work=$1/w; changed=no
  edits
)

# The journal is the one of `relayca install`, and so is its lock: each can take back what the other left.
lines() {
  tr '{' '\n' < "$1" | tr -d '"' | sed -n 's/^path:\([A-Za-z0-9/._-]*\),was:\([0-9a-fnul]*\),becomes:\([0-9a-fnul]*\)}.*$/\1 \2 \3/p'
}
is_ours() {
  [ -f "$1" ] && [ ! -L "$1" ] && is_private "$1" && [ "$(tr '{' '\n' < "$1" | grep -c '^"path":')" = "$(lines "$1" | grep -c .)" ]
}
number() { ls -i "$1" 2> /dev/null | awk '{ print $1 }'; }
digest_of() { if [ -e "$1" ]; then sum "$1"; else echo null; fi; }

# Every file as it was; may be stopped and done again. What somebody changed meanwhile stays.
take_back() {
  journal=$files/.journal
  # Nothing was touched yet.
  [ -e "$journal" ] || return
  is_ours "$journal" || { back=no; return; }
  while read -r path was becomes; do
    [ -n "$path" ] || continue
    beside=${path%/*}/.${path##*/}
    rm -f "$beside.relayca-new"
    now=$(digest_of "$path")
    if [ "$now" != "$was" ] && [ "$now" != "$becomes" ]; then
      [ ! -e "$beside.relayca-old" ] || back=no
    elif [ "$was" = null ]; then
      rm -f "$path" || back=no
    elif [ -e "$beside.relayca-old" ]; then
      # Of two names of one file a rename removes neither, and mv refuses.
      if [ "$(number "$beside.relayca-old")" = "$(number "$path")" ]; then rm -f "$beside.relayca-old"; else mv -f "$beside.relayca-old" "$path"; fi || back=no
    fi
  done << EOF
$(lines "$journal" | sed '1!G;h;$!d')
EOF
  ran=no; new=no
  if grep -q '"running":true' "$journal"; then ran=yes; fi
  if grep -q '"made_directory":true' "$journal"; then new=yes; fi
  rm -f "$journal"
  flush "$files"
  if [ "$new" = yes ]; then rm -rf "$work"; rmdir "$files" 2> /dev/null || :; fi
  if [ "$ran" = yes ]; then
    if runs; then postfix reload > /dev/null 2>&1 9<&- || back=no
    else ( trap - 1 13; postfix start > /dev/null 2>&1 9<&- ) || back=no; fi
  fi
}
tidy_up() {
  while read -r path was becomes; do
    [ -n "$path" ] || continue
    rm -f "${path%/*}/.${path##*/}.relayca-old" "${path%/*}/.${path##*/}.relayca-new"
  done << EOF
$(lines "$files/.finished")
EOF
  rm -f "$files/.finished"
}
recover() {
  rm -f "$files/.journal.new"
  rm -rf "$files"/.bundle.*
  if [ -e "$files/.finished" ]; then
    is_ours "$files/.finished" || give_up "$files/.finished is not what relayca wrote"
    tidy_up
  fi
  if [ -e "$files/.journal" ]; then
    rm -rf "$work"
    take_back
    [ "$back" = whole ] || give_up "an earlier run was stopped in the middle, and not all could be taken back: look for .relayca-old beside main.cf and in $files"
    tell 'note an earlier run was stopped in the middle there: it was taken back'
  fi
}

take_lock() {
  tries=0
  if command -v flock > /dev/null; then
    exec 9< "$config"
    until flock -n 9; do
      tries=$((tries + 1)); [ "$tries" -le "$patience" ] || give_up 'another relayca is at work there'
      sleep 1
    done
    return
  fi
  until mkdir "$lock" 2> /dev/null; do
    tries=$((tries + 1)); [ "$tries" -le "$patience" ] || give_up "another relayca is at work there, or was stopped: then remove $lock"
    sleep 1
  done
  locked=yes
}
is_locked() {
  if command -v flock > /dev/null; then ! ( exec 9< "$config"; flock -n 9 ); else [ -d "$lock" ]; fi
}

# The digest of a map without its comments: who may relay, whatever else is told of them.
entries_of() { sed -e '/^#/d' -e '/^[[:space:]]*$/d' "$1" 2> /dev/null | sort | sha256sum | cut -c 1-64; }
# Of which change of the authority the list there is; nothing where none is, or none is told of.
there_is() { [ ! -e "$files/relay_clientcerts" ] || { of_change "$files/relay_clientcerts" 2> /dev/null && echo "$change"; }; }
# An old list would let in again who was taken out since. What cannot be told is no earlier one.
refuse_older() {
  [ -n "$as_of" ] && [ -e "$files/relay_clientcerts" ] || return 0
  of_change "$files/relay_clientcerts" || give_up "$files/relay_clientcerts cannot be read"
  case $change in (odd|-1) give_up 'the list there does not say plainly of which change of the authority it is: look whom it has; --older brings the one of today' ;; esac
  [ "${change:-0}" -le "$as_of" ] || give_up "the list there is of change $change of the authority, and this one of change $as_of"
}
# Nor does an old key take the place of one that was made since, by somebody else or in another copy of the authority.
refuse_unknown_key() {
  [ "$sends" != public ] && [ -z "$older" ] || return 0
  case " $spki $known missing unread unknown " in
  (*" $(key_is "$files/$key") "*) ;;
  (*) give_up "the key there is of no certificate that this authority knows: was it issued meanwhile, or by another copy of the authority? --older replaces it" ;;
  esac
}

look() {
  find_configuration
  work=$(mktemp -d "${TMPDIR:-/tmp}/relayca.XXXXXX") || give_up 'no room for a temporary directory'
  tell "version $(postconf -h mail_version 2> /dev/null)"
  if runs; then tell 'running yes'; else tell 'running no'; fi
  tell "clock $(date -u +%s)"
  for name in $names; do tell "file $name $(digest_of "$files/$name")"; done
  tell "list $(there_is)"
  tell "key $(key_is "$files/$key")"
  if [ -e "$files/$key" ] && ! is_private "$files/$key"; then tell 'key open'; fi
  for map in $maps; do
    tell "entries $map $(entries_of "$files/$map")"
    if table_is_current "$files/$map" "$work"; then tell "table $map current"; else tell "table $map stale"; fi
  done
  if [ -e "$files/.journal" ]; then tell 'left yes'; fi
  if is_locked; then tell 'busy yes'; fi
  if is_installed; then
    tell 'settings installed'
  else
    ask > "$work/said" 2>&1
    if [ $? != 0 ]; then
      tell "settings refused $(in_short "$work/said")"
    else
      notes "$work/said"
      copies "$work" || give_up 'main.cf and master.cf cannot be copied'
      settings "$work" > "$work/said" 2>&1
      if [ $? != 0 ]; then tell "settings refused $(in_short "$work/said")"
      elif cmp -s "$work/cf/main.cf" "$main" && cmp -s "$work/cf/master.cf" "$master"; then tell 'settings same'
      else tell 'settings differ'; fi
    fi
  fi
  end=looked
}

receive() {
  # A line that hangs is not to keep others out for good.
  bounded=
  if timeout 1 true 2> /dev/null; then bounded='timeout 300'; fi
  $bounded cat > "$work/payload" || give_up "$files cannot be written to: is the disk full?"
  [ "$(wc -c < "$work/payload" | tr -d ' ')" = "$size" ] && [ "$(sum "$work/payload")" = "$digest" ] || give_up 'not all of it arrived'
}
unpack() {
  mkdir "$work/new"
  tar -tf "$work/payload" > "$work/list" 2> /dev/null || give_up 'what arrived is no archive'
  [ -z "$(sort "$work/list" | uniq -d)" ] || give_up 'the archive has a file twice'
  expected="$names"
  case $sends in (key) expected="$expected $key" ;; (sealed) expected="$expected $sealed" ;; esac
  while read -r name; do
    case $name in (*[!A-Za-z0-9._-]*|.*|-*) give_up 'the archive has a file with an odd name' ;; esac
    case " $expected " in (*" $name "*) ;; (*) give_up "the archive has a file that does not belong there: $name" ;; esac
  done < "$work/list"
  tar -xf "$work/payload" -C "$work/new" 2> /dev/null || give_up "$files cannot be written to: is the disk full?"
  for name in $expected; do
    if [ -L "$work/new/$name" ] || [ ! -f "$work/new/$name" ]; then give_up "the archive lacks $name"; fi
  done
  ( cd "$work/new" && sha256sum -c SHA256SUMS > /dev/null 2>&1 ) || give_up 'the files are not those of SHA256SUMS'
  if [ "$sends" = sealed ]; then
    command -v age > /dev/null || give_up 'the bundle is sealed to a key of this host, and age is not installed to open it'
    [ -r "$opens" ] || give_up "the bundle is sealed to a key of this host, and there is no $opens"
    age -d -i "$opens" "$work/new/$sealed" > "$work/opened" 2> "$work/said" || give_up "the sealed bundle does not open with $opens: $(in_short "$work/said")"
    tar -xOf "$work/opened" "$key" > "$work/new/$key" 2> /dev/null || give_up "there is no $key in the sealed bundle"
    rm -f "$work/opened" "$work/new/$sealed"
  fi
  if [ "$sends" != public ]; then
    # The list is the one of the public files, whether the key came along or lay here before.
    grep -v -e " $key\$" -e "  ${sealed:-$key}\$" "$work/new/SHA256SUMS" > "$work/sums"
    mv "$work/sums" "$work/new/SHA256SUMS"
  fi
  # Not the archive's times: Postfix and postmap go by them.
  touch "$work/new/"* && chown 0:0 "$work/new/"* && chmod 644 "$work/new/"* || give_up 'the files cannot be given to root'
  is=$(key_is "$files/$key"); whose="$files/$key"
  if [ "$sends" != public ]; then chmod 600 "$work/new/$key"; is=$(key_is "$work/new/$key"); whose='the key that was sent'; fi
  case $is in
  ("$spki"|unknown) ;;
  (missing) [ -z "$spki" ] || give_up "$whose is missing" ;;
  (*) [ -z "$spki" ] || give_up "the certificate is not for $whose" ;;
  esac
}

# A login has often less in its PATH than a terminal. What others than root could have written is not run.
find_relayca() {
  command -v relayca && return
  for place in "${HOME:-/root}/.local/bin" "${HOME:-/root}/.cargo/bin" /usr/local/bin; do
    set -- $(ls -ldnL "$place/relayca" 2> /dev/null)
    case ${1:-}.${3:-} in (-??x?-??-*.0) echo "$place/relayca"; return ;; esac
  done
}

# `relayca install` set this host up: it keeps its record, and so `uninstall` goes on working.
leave_it_to_install() {
  program=$(find_relayca)
  [ -n "$program" ] || give_up "\`relayca install\` set this host up, and relayca is neither on the PATH of this login nor root's in ~/.local/bin, ~/.cargo/bin or /usr/local/bin: put it there, or into /usr/bin; or take its work back with it first"
  [ "$sends" != sealed ] || give_up "\`relayca install\` set this host up: give it the sealed bundle itself"
  # Its own lock is the same one, and who comes next clears our place.
  apart=$(mktemp -d "$files/.bundle.XXXXXX") && mv "$work/payload" "$apart/payload" && rm -rf "$work" && work=$apart || give_up "$files cannot be written to"
  exec 9<&-
  "$program" install "$work/payload" $older --apply --no-probe --json --config-directory "$config" > "$work/out" 2> "$work/said" < /dev/null || give_up "relayca install: $(in_short "$work/said")"
  tell 'note by `relayca install`, which set this host up'
  if grep -q '"status": *"unchanged"' "$work/out"; then end=unchanged; else end=deployed; fi
  exit 0
}

change() {
  if [ -L "$2" ] || { [ -e "$2" ] && [ ! -f "$2" ]; }; then give_up "$2 is no plain file"; fi
  if cmp -s "$1" "$2"; then
    if [ "$2" != "$files/$key" ] || is_private "$2"; then return; fi
  fi
  printf '%s %s\n' "$1" "$2" >> "$work/changes"
}
find_changes() {
  : > "$work/changes"
  for name in $names; do change "$work/new/$name" "$files/$name"; done
  if [ "$sends" != public ]; then change "$work/new/$key" "$files/$key"; fi
  for map in $maps; do
    if cmp -s "$work/new/$map" "$files/$map" && table_is_current "$files/$map" "$work"; then continue; fi
    postmap "$work/new/$map" > "$work/said" 2>&1 9<&- || give_up "postmap: $(in_short "$work/said")"
    for table in "$work/new/$map".*; do
      if [ -f "$table" ]; then chmod 644 "$table"; change "$table" "$files/${table##*/}"; fi
    done
  done
  # With the owner and mode that they have.
  for file in main.cf master.cf; do
    cp -p "$config/$file" "$work/$file" && cat "$work/cf/$file" > "$work/$file" || give_up "$files cannot be written to: is the disk full?"
  done
  change "$work/main.cf" "$main"
  change "$work/master.cf" "$master"
}
write_journal() {
  {
    printf '{"format":1,"made_directory":%s,"removes_directory":false,"running":%s,"lines":[' "$made" "$running"
    comma=
    while read -r source target; do
      was=$(digest_of "$target"); [ "$was" = null ] || was="\"$was\""
      printf '%s{"path":"%s","was":%s,"becomes":"%s"}' "$comma" "$target" "$was" "$(sum "$source")"
      comma=,
    done < "$work/changes"
    printf ']}'
  } > "$files/.journal.new" || give_up "$files cannot be written to: is the disk full?"
  [ "$(lines "$files/.journal.new" | grep -c .)" = "$(grep -c . "$work/changes")" ] || give_up "$files cannot be written to: is the disk full?"
  flush "$files/.journal.new"
  journaled=yes
  mv "$files/.journal.new" "$files/.journal" || give_up "$files cannot be written to"
  flush "$files"
}
place() {
  while read -r source target; do
    beside=${target%/*}/.${target##*/}
    [ ! -e "$beside.relayca-old" ] || give_up "$beside.relayca-old lies there from before: look at it and move it away"
    cp -p "$source" "$beside.relayca-new" || give_up "$target cannot be written: is the disk full?"
    flush "$beside.relayca-new"
    if [ -e "$target" ]; then
      ln "$target" "$beside.relayca-old" 2> /dev/null || cp -p "$target" "$beside.relayca-old" || give_up "$target cannot be kept"
    fi
  done < "$work/changes"
  while read -r source target; do
    mv -f "${target%/*}/.${target##*/}.relayca-new" "$target" || give_up "$target cannot be replaced"
  done < "$work/changes"
  flush "$files" "$config"
}
begin_it() {
  postfix check > "$work/said" 2>&1 9<&- || give_up "postfix check: $(in_short "$work/said")"
  if [ "$running" = false ]; then
    tell 'note Postfix is not running; what was written counts when it starts'
    return
  fi
  postfix reload > "$work/said" 2>&1 9<&- || give_up "postfix reload: $(in_short "$work/said")"
  # Postfix ends if something else has its port.
  sleep 1
  runs || give_up 'Postfix ended after the reload: is a port taken? Its log tells why'
}

# Where others than root can write, they could put another file in the place of ours.
refuse_foreign() {
  if [ -L "$files" ]; then give_up "$files is a link"; fi
  set -- $(ls -ldn "$config")
  case $1 in (d???????w*) give_up "$config can be written by others than root: chmod o-w $config" ;; esac
  [ -e "$files" ] || return
  set -- $(ls -ldn "$files")
  case $1$3 in
  (d????w*|d???????w*|-*|*[1-9]) give_up "$files can be written by others than root: chown root:root $files && chmod go-w $files" ;;
  esac
}

put() {
  find_configuration
  take_lock
  refuse_foreign
  work=$files/.deploy
  recover
  refuse_older
  if [ ! -d "$files" ]; then mkdir -m 700 "$files" || give_up "$files cannot be made"; made=true; fi
  rm -rf "$work"
  mkdir -m 700 "$work" || give_up "$files cannot be written to"
  receive
  # From here on the line is not needed: all goes its way to the new state, or back to the old one.
  trap '' 1 13
  tell begun
  unpack
  refuse_unknown_key
  if is_installed; then leave_it_to_install; fi
  ask > "$work/said" 2>&1
  [ $? = 0 ] || give_up "$(in_short "$work/said")"
  notes "$work/said"
  copies "$work" || give_up "$files cannot be written to: is the disk full?"
  settings "$work" > "$work/said" 2>&1
  [ $? = 0 ] || give_up "$(in_short "$work/said")"
  find_changes
  if [ ! -s "$work/changes" ]; then end=unchanged; return; fi
  running=false; if runs; then running=true; fi
  # Once more: a block may have been pasted meanwhile.
  refuse_older
  write_journal
  place
  begin_it
  mv "$files/.journal" "$files/.finished" || give_up "$files cannot be written to"
  journaled=no; made=false
  while read -r source target; do tell "changed $target"; done < "$work/changes"
  tidy_up
  end=deployed
}

leave() {
  trap '' 1 2 13 15
  trap - 0
  if [ "$journaled" = yes ]; then take_back; fi
  if [ -n "$work" ]; then rm -rf "$work"; fi
  if [ "$mode" = put ] && [ -n "$work" ]; then rm -f "$files/.journal.new"; fi
  if [ "$made" = true ]; then rmdir "$files" 2> /dev/null || :; fi
  if [ "$locked" = yes ]; then rmdir "$lock" 2> /dev/null || :; fi
  if [ -n "$end" ]; then tell "end $end"; exit 0; fi
  if [ "$back" = whole ]; then tell "end failed ${reason:-it was stopped}"; else tell "end broken ${reason:-it was stopped}"; fi
  exit 1
}
trap leave 0
trap 'exit 1' 1 2 13 15
"$mode"
exit
}
