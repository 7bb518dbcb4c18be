#!/bin/sh
# Start relion_ganpick or cryosparc_ganpick from a checkout. Both names in this folder are links to this file. A copy of it
# elsewhere, under either name, starts the installed package.
#
# RELION and CryoSPARC set up an environment of their own. So Python gets neither PYTHONPATH and PYTHONHOME nor the modules
# that lie in the working directory. RELION never looks at exit codes, only at the marker files of a job: when Python cannot
# start, this script leaves RELION_JOB_EXIT_FAILURE itself. Without it the job would be "Running" for ever.

unset PYTHONPATH PYTHONHOME CDPATH
# tests/test_launchers.py compares these with the dependencies in pyproject.toml.
packages='cv2 imagecodecs matplotlib mrcfile numpy pandas safetensors scipy skimage starfile tifffile torch tqdm watchfiles relion_ganpick'

# The value of the first --o, which is the one that RELION wrote.
output_directory() {
    while [ $# -gt 0 ]; do
        case $1 in
            --o=*) printf '%s' "${1#--o=}"; return ;;
            --o) case ${2-} in --*) ;; *) printf '%s' "${2-}"; return ;; esac ;;
        esac
        shift
    done
}

# fail MESSAGE ARGUMENT...: say what is wrong, tell RELION, end.
fail() {
    printf '%s: %s\n' "$program" "$1" >&2
    shift
    [ "$program" = relion_ganpick ] && out=$(output_directory "$@") || out=
    if [ -n "$out" ] && mkdir -p -- "$out"; then
        rm -f -- "${out%/}/RELION_JOB_EXIT_SUCCESS" "${out%/}/RELION_JOB_EXIT_ABORTED" "${out%/}/RELION_JOB_ABORT_NOW"
        : > "${out%/}/RELION_JOB_EXIT_FAILURE"
    fi
    exit 1
}

# Whether what Python said, in $problem, and its exit status come of too little memory (ulimit -v; SGE sets it to h_vmem).
no_memory() {
    limit=$(ulimit -v)
    [ "$limit" != unlimited ] || return 1
    case $problem in
        *emory*|*'failed to map segment'*|*'start new thread'*|*bad_alloc*) return 0 ;;
    esac
    [ "$1" -gt 125 ] || [ -z "$problem" ]
}

# Follow any number of symbolic links to this file. Sets file, and program by the names on the way.
follow_links() {
    file=$1 program=relion_ganpick
    while :; do
        case $(basename -- "$file") in cryosparc_ganpick*) program=cryosparc_ganpick ;; esac
        [ -L "$file" ] || break
        link=$(readlink -- "$file")
        case $link in
            /*) file=$link ;;
            *) file=$(dirname -- "$file")/$link ;;
        esac
    done
    file=$(cd -P -- "$(dirname -- "$file")" && pwd)/$(basename -- "$file")
}

# The python3 beside another command of this name on PATH, that is where the package was installed.
installed_python() {
    old_ifs=$IFS
    IFS=:
    for directory in $PATH; do
        if [ -x "$directory/$program" ] && [ -x "$directory/python3" ] && ! [ "$directory/$program" -ef "$file" ]; then
            printf '%s/python3' "$directory"
            break
        fi
    done
    IFS=$old_ifs
}

follow_links "$0"
case $program in
    relion_ganpick) module=relion_ganpick.relion.main ;;
    cryosparc_ganpick) module=cryosparc_tool.main packages="$packages cryosparc_tool" ;;
esac
# The first argument is the checkout, which comes before everything that is installed, or empty.
enter="import sys; sys.path[:0] = [path for path in [sys.argv.pop(1)] if path]; sys.argv[0] = '$program'"
check="
if sys.version_info < (3, 10):
    sys.exit('Python %d.%d is too old, 3.10 or newer is needed' % sys.version_info[:2])
from importlib.util import find_spec
missing = [name for name in '$packages'.split() if find_spec(name) is None]
if missing:
    sys.exit('missing Python packages: ' + ', '.join(missing))
import $module
"
start="
from $module import main
sys.exit(main())
"

checkout=$(dirname -- "$(dirname -- "$file")")
# What is said comes before what is found: GANPICK_PYTHON, the checkout's own environment, an installed one, any.
if [ -n "${GANPICK_PYTHON:-}" ]; then
    python=$GANPICK_PYTHON
elif [ -x "$checkout/.venv/bin/python" ]; then
    python=$checkout/.venv/bin/python
else
    python=$(installed_python)
    python=${python:-python3}
fi
[ -f "$checkout/$(printf '%s' "$module" | tr . /).py" ] && root=$checkout || root=

trap 'fail "stopped by a signal before Python had started" "$@"' HUP TERM
# -I: neither the working directory nor PYTHON* variables nor the user's site-packages decide what is imported.
problem=$("$python" -I -c "$enter$check" "$root" 2>&1 >/dev/null) || { status=$?; no_memory $status && fail "no memory to start: \
at most $((limit / 1024)) MB are allowed (ulimit -v, or h_vmem of SGE): ask for 4 GB or more" "$@"; fail "$python cannot run it:
$problem
Install it by 'make venv' in ${root:-a checkout of relion-ganpick}, or set GANPICK_PYTHON to a Python that has relion-ganpick." "$@"; }
exec "$python" -I -c "$enter$start" "$root" "$@"
