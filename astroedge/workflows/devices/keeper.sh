# Stands on a board as long as AstroEdge works there, fed through the standard input of `sh -s`: says what the board is,
# makes one private folder when asked, and when its input ends, for whatever reason, kills what works there and removes
# it. What it says begins with ":astroedge: " and a name; lines until the next such are the answer.
# POSIX sh alone: BusyBox and dash run it.
umask 077
cd / || exit 1
LC_ALL=C
export LC_ALL
quiet=${1:-60} # seconds without a word from the host after which it counts as gone
made=

say() { printf '\n:astroedge: %s\n' "$1"; }

show() {
    say "$1"
    [ -r "$2" ] && tr -d '\000' <"$2" 2>/dev/null
}

probe() {
    say system; uname -s; uname -r
    say machine; uname -m
    # The fifth byte of an ELF file is 1 for 32 bits and 2 for 64: the system's, which the kernel's name does not tell.
    say bits; dd if=/bin/sh bs=1 skip=4 count=1 2>/dev/null | od -An -tu1
    show cpuinfo /proc/cpuinfo
    show meminfo /proc/meminfo
    show model /proc/device-tree/model
    show product /sys/class/dmi/id/product_name
    say libc; { getconf GNU_LIBC_VERSION || ldd --version; } 2>&1 | head -n 1
    say home; printf '%s\n' "${HOME:-}"
    say python; command -v python3 >/dev/null 2>&1 && python3 -c '
import platform, struct, sys
print(platform.python_version(), struct.calcsize("P") * 8)
for name in ("numpy", "astroedge"):
    try:
        print(name, __import__(name).__version__)
    except Exception:
        print(name, "-")
' 2>/dev/null </dev/null
    say ready
}

# try FOLDER BYTES: makes the private folder there, or adds to $why why not. 
try() {
    [ -d "$1" ] || mkdir -p "$1" 2>/dev/null || { why="$why$1: cannot be made; "; return 1; }
    free=$(df -kP "$1" 2>/dev/null | tail -n 1)
    set -- "$1" "$2" $free
    if [ "${6:-}" ] && [ "$6" -lt $(($2 / 1024 + 1)) ] 2>/dev/null; then
        why="$why$1: $6 kB free; "
        return 1
    fi
    made=$(mktemp -d "$1/astroedge-XXXXXX" 2>/dev/null) || { made=; why="$why$1: cannot be written; "; return 1; }
    printf '#!/bin/sh\nexit 0\n' >"$made/try" 2>/dev/null && chmod 700 "$made/try" && "$made/try" 2>/dev/null && {
        rm -f "$made/try"
        return 0
    }
    why="$why$1: programs may not run there (noexec); "
    rm -rf "$made"
    made=
    return 1
}

# place BYTES [PATH]: a private folder with so much room, beside PATH (in it, where it is a folder and no bundle), or
# wherever there is one.
place() {
    why=
    if [ "${2:-}" ]; then
        parent=${2%/*}
        if [ -d "$2" ] && [ ! -f "$2/manifest.json" ]; then parent=$2; fi
        try "${parent:-/}" "$1"
    else
        try "${TMPDIR:-/tmp}" "$1" || try "${XDG_CACHE_HOME:-$HOME/.cache}/astroedge" "$1" || try /var/tmp "$1"
    fi
    say folder
    [ -n "$made" ] && printf '%s\n' "$made"
    say refused
    printf '%s\n' "$why"
    if [ -n "$made" ]; then
        : >"$made/.beat"
        watch_host </dev/null >/dev/null 2>&1 &
    fi
    say placed
}

# Ends everything where the host says nothing for too long: a connection can be dead without its end being told.
watch_host() {
    while ASTROEDGE_FOLDER=$made sleep "$quiet"; do
        [ -s "$made/.beat" ] || { kill_inside; rm -rf "$made"; kill -9 $$; exit; }
        : >"$made/.beat"
    done
}

# Whoever has the folder in its environment was started by job.sh, or by what that started.
kill_inside() {
    grep -lszxF "ASTROEDGE_FOLDER=$made" /proc/[0-9]*/environ | while IFS=/ read -r root proc process file; do
        kill -9 "$process" 2>/dev/null
    done
}

finish() {
    trap '' EXIT HUP INT TERM PIPE
    if [ -n "$made" ]; then
        kill_inside
        rm -rf "$made" 2>/dev/null
        kill_inside # what was started meanwhile
        rm -rf "$made"
    fi
    say gone 2>/dev/null
    exit 0
}

trap finish EXIT HUP INT TERM PIPE
probe
while IFS=' ' read -r word size folder; do
    case $word in
    place) place "$size" "$folder" ;;
    beat) [ -z "$made" ] || echo 1 >"$made/.beat" 2>/dev/null ;;
    esac
done
finish
