# One piece of work in the private folder on a board: sh .job FOLDER WORK …, data on standard input. What it says begins
# after the line ":astroedge:", because a user's shell may print what it likes before.
umask 077
LC_ALL=C
export LC_ALL
folder=$1
work=$2
shift 2
cd "$folder" || exit 75
cache=${XDG_CACHE_HOME:-$HOME/.cache}/astroedge

# The SHA-256 of a file, nothing where no program computes it.
digest() {
    { sha256sum "$1" || busybox sha256sum "$1" || shasum -a 256 "$1" || openssl dgst -sha256 -r "$1"; } 2>/dev/null |
        head -n 1 | cut -d ' ' -f 1
}

# A file with this digest that an earlier run left, linked or copied to a name here.
fetch() {
    {
        [ -f "$cache/files/$1" ] && printf '%s\n' "$cache/files/$1"
        [ -f "$cache/deployed" ] && sed -n "s/^$1 //p" "$cache/deployed"
    } 2>/dev/null | while IFS= read -r path; do
        if [ -f "$path" ] && [ "$(digest "$path")" = "$1" ] && mkdir -p "$(dirname "$2")" && cp "$path" "$2"; then
            printf '%s\n' "$2"
            break
        fi
    done
}

printf ':astroedge:\n'
case $work in
find) # lines of DIGEST NAME; answers the names that are here now
    while IFS=' ' read -r wanted name; do
        fetch "$wanted" "$name"
    done
    ;;
put) # MODE NAME: the content is standard input; answers the digest, or "none"
    case $2 in */*) mkdir -p "${2%/*}" || exit 73 ;; esac
    cat >"$2" || exit 73
    chmod "$1" "$2" || exit 73
    found=$(digest "$2")
    printf '%s\n' "${found:-none}"
    ;;
get) # NAME
    exec cat "$1"
    ;;
keep) # lines of DIGEST NAME: for later runs
    mkdir -p "$cache/files" || exit 73
    while IFS=' ' read -r wanted name; do
        [ -f "$cache/files/$wanted" ] && continue
        cp "$name" "$cache/files/$wanted.$$" && mv "$cache/files/$wanted.$$" "$cache/files/$wanted" || exit 73
    done
    ;;
move) # NAME PATH KIND LAST: to its place (in PATH as LAST, where that is a folder); a bundle replaces only a bundle
    to=${2%/}
    if [ -d "$to" ] && [ ! -f "$to/manifest.json" ]; then to=$to/$4; fi
    old=
    if [ -e "$to" ] || [ -L "$to" ]; then
        if [ "$3" = file ]; then [ -f "$to" ]; else [ -f "$to/manifest.json" ]; fi || exit 74
        # Beside it and not in this folder, which the keeper removes whenever the connection ends.
        if [ "$3" != file ]; then
            old=$to.old-$$
            mv "$to" "$old" || exit 73
        fi
    fi
    if ! mv -f "$1" "$to"; then
        [ -z "$old" ] || mv "$old" "$to"
        exit 73
    fi
    [ -z "$old" ] || rm -rf "$old"
    printf '%s\n' "$to"
    # Later runs find the files by their digests; what is no longer there leaves the list.
    mkdir -p "$cache" && {
        while IFS=' ' read -r wanted name; do
            case $3 in file) path=$to ;; *) path=$to/${name#*/} ;; esac
            printf '%s %s\n' "$wanted" "$path"
        done
        [ ! -f "$cache/deployed" ] || cat "$cache/deployed"
    } | sort -u | while IFS=' ' read -r wanted path; do
        [ ! -f "$path" ] || printf '%s %s\n' "$wanted" "$path"
    done >.deployed && mv .deployed "$cache/deployed"
    ;;
start) # PROGRAM …, marked for the keeper
    ASTROEDGE_FOLDER=$folder
    export ASTROEDGE_FOLDER
    exec "$@"
    ;;
esac
