#!/bin/sh
# Brings disks of an Alibaba Cloud ECS instance back to snapshots, from another machine: it checks, stops
# the instance, resets one disk after the other, and starts the instance when all of them are done.
#
# It needs the aliyun command line with keys that may do this, and may be run again at any point: it
# goes on to the same end. Exit status: 0 done; 1 no disk was reset, and the instance is as it was
# found; 2 usage; 3 the disks fit together, but the instance is not seen to run; 4 a part of the disks
# went back, or may have: the instance is stopped and must not be started as it is.
# begin: what is brought back
REGION=cn-hangzhou
INSTANCE=i-example
RUN=example
SINCE='the snapshots'
PAIRS='d-example:s-example'
# end: what is brought back

set -u
export LC_ALL=C

STEP_S=5      # between two looks
TRIES=4       # of a call
STOP_STEPS=60 # how often it is looked for Stopped before it is stopped by force, and after that
RESET_STEPS=240
START_STEPS=60

# What a failure or a signal has to tell hangs on how far it has come:
# untouched, stopping, resetting, reset, whole.
STAGE=untouched
DONE=
REST=$PAIRS
FOUND=

say() { printf '%s\n' "$*"; }
told() { printf '%s\n' "$*" >&2; }

call() {
    aliyun ecs "$@" --RegionId "$REGION" >"$WORK/out" 2>"$WORK/err"
}

# What the last call that failed said.
why() {
    cat "$WORK/err" "$WORK/out" | tr -s '\r\n' ' '
}

# A call that changes something. Sets WHY and CODE, the API's word; empty where it did not answer.
order() {
    call "$@" && return
    WHY=$(why)
    CODE=$(sed -n 's/^ErrorCode: *//p' "$WORK/out" "$WORK/err" | head -n 1 | tr -d '\r')
    return 1
}

# The order that failed was answered, and has done nothing.
is_refused() {
    case $CODE in
    '' | InternalError* | UnknownError* | ServiceUnavailable*) return 1 ;;
    esac
}

# The rows of a list, as field|field.
rows() {
    from=$1 fields=$2
    shift 2
    call "$@" --output "cols=$fields" "rows=$from" || return 1
    sed 1,2d "$WORK/out" | tr -d ' \r'
}

# The same of a thing, asked again where there is no answer: instance, disk ID or snapshot ID.
look() {
    look=1
    until "$@"; do
        [ "$look" -lt "$TRIES" ] || return 1
        look=$((look + 1))
        sleep "$STEP_S"
    done
}

instance() {
    rows 'Instances.Instance[]' Status,StoppedMode DescribeInstances --InstanceIds "[\"$INSTANCE\"]"
}

status() {
    seen=$(look instance) || return 1
    say "${seen%%|*}"
}

disk() {
    rows 'Disks.Disk[]' Status,InstanceId DescribeDisks --DiskIds "[\"$1\"]"
}

snapshot() {
    rows 'Snapshots.Snapshot[]' SourceDiskId,Available,Status DescribeSnapshots --SnapshotIds "[\"$1\"]"
}

# Wait until the instance has a status: STATUS STEPS.
await() {
    step=0
    while [ "$step" -lt "$2" ]; do
        case $(instance) in "$1|"*) return 0 ;; esac
        sleep "$STEP_S"
        step=$((step + 1))
    done
    return 1
}

start_line="aliyun ecs StartInstance --RegionId $REGION --InstanceId $INSTANCE"

# Tell how things stand, and end.
leave() {
    case $STAGE in
    untouched)
        told "Nothing was changed by this: no disk was reset, and $INSTANCE is as it was found."
        exit 1
        ;;
    stopping)
        told "No disk was reset. $INSTANCE was told to stop and may be stopped: look, and start it again:"
        told "  $start_line"
        exit 3
        ;;
    resetting | reset)
        told "$INSTANCE IS STOPPED, AND ITS DISKS MAY NOT FIT TOGETHER: do not start it as it is."
        told "Told to go back:${DONE:- none for certain}; not, or not for certain: ${REST:-none}."
        told "Run this script again; it resets all of them and then starts the instance."
        exit 4
        ;;
    whole)
        told "All disks went back, and they fit together. $INSTANCE was not seen to run: start it:"
        told "  $start_line"
        exit 3
        ;;
    esac
}

fail() {
    told "FAILED: $*"
    leave
}

# No disk was reset: have the instance run again if it ran before, and end. One that was stopped may
# have been left so because its disks do not fit together.
start_again() {
    told "FAILED: $*"
    if [ "$FOUND" != Running ]; then
        STAGE=untouched
        leave
    fi
    told "No disk was reset; starting $INSTANCE again."
    STAGE=stopping
    try=1
    while [ "$try" -le "$TRIES" ]; do
        order StartInstance --InstanceId "$INSTANCE" && break
        sleep "$STEP_S"
        try=$((try + 1))
    done
    await Running "$START_STEPS" || leave
    told "$INSTANCE runs again, with its disks as they were."
    exit 1
}

check() {
    seen=$(look instance) || fail "$INSTANCE cannot be looked at: $(why)"
    case $seen in
    *'|StopCharging') fail "$INSTANCE is in economical mode and may not start again: start it first" ;;
    'Running|'* | 'Stopped|'* | 'Stopping|'*) FOUND=${seen%%|*} ;;
    *) fail "$INSTANCE is ${seen:-not shown by the cloud}; it must be Running or Stopped" ;;
    esac
    for pair in $PAIRS; do
        seen=$(look snapshot "${pair#*:}") || fail "${pair#*:} cannot be looked at: $(why)"
        case $seen in
        "${pair%%:*}|true|"* | "${pair%%:*}|"*'|accomplished') ;;
        "${pair%%:*}|"*) fail "${pair#*:} cannot be used yet: wait until it is available" ;;
        *) fail "${pair#*:} is not a snapshot of ${pair%%:*}: ${seen:-the cloud does not show it}" ;;
        esac
        seen=$(look disk "${pair%%:*}") || fail "${pair%%:*} cannot be looked at: $(why)"
        case $seen in
        "In_use|$INSTANCE" | "ReIniting|$INSTANCE" | "ReInitFailed|$INSTANCE") ;;
        *) fail "${pair%%:*} is not in use by $INSTANCE: ${seen:-the cloud does not show it}" ;;
        esac
    done
}

agree() {
    say "Brings back, on $INSTANCE: $PAIRS"
    say "Everything written there since $SINCE is lost. The instance is stopped and started again."
    [ "${1-}" != --yes ] || return 0
    if ! [ -t 0 ]; then
        told "There is no terminal to ask on: give --yes to agree."
        exit 2
    fi
    printf 'Go on? [y/N] '
    read -r answer || answer=
    case $answer in
    y | Y | yes) ;;
    *)
        say "Nothing was done."
        exit 1
        ;;
    esac
}

# Ask it to stop: further options of StopInstance. A call without an answer may have been heard.
ask_to_stop() {
    try=1
    until order StopInstance --InstanceId "$INSTANCE" --StoppedMode KeepCharging "$@"; do
        if [ "$try" -ge "$TRIES" ]; then
            is_refused && return 1
            return 0
        fi
        try=$((try + 1))
        sleep "$STEP_S"
        [ "$(status)" != Stopped ] || return 0
    done
}

stop() {
    [ "$(status)" != Stopped ] || return 0
    say "Stopping $INSTANCE"
    STAGE=stopping
    if ! ask_to_stop; then
        [ "$(status)" != Running ] || STAGE=untouched
        fail "$INSTANCE does not take the order to stop: $WHY"
    fi
    await Stopped "$STOP_STEPS" && return
    say "It does not stop in an orderly way; stopping it by force"
    ask_to_stop --ForceStop true || start_again "$INSTANCE cannot be stopped by force: $WHY"
    await Stopped "$STOP_STEPS" || start_again "$INSTANCE did not come to Stopped"
}

# Wait until no reset goes on. Sets OPEN to the disks that are not in use then.
settled() {
    step=0
    while [ "$step" -lt "$RESET_STEPS" ]; do
        step=$((step + 1))
        OPEN='' going=''
        for pair in $PAIRS; do
            case $(disk "${pair%%:*}") in
            'In_use|'*) ;;
            'ReInitFailed|'*) OPEN="$OPEN ${pair%%:*}" ;;
            *) OPEN="$OPEN ${pair%%:*}" going=yes ;;
            esac
        done
        [ -n "$going" ] || return 0
        sleep "$STEP_S"
    done
    return 1
}

# Have each reset refused or not before the first one is done.
rehearse() {
    settled || start_again "an earlier reset goes on:$OPEN"
    for pair in $PAIRS; do
        try=1
        until order ResetDisk --DiskId "${pair%%:*}" --SnapshotId "${pair#*:}" --DryRun true ||
            [ "$CODE" = DryRunOperation ]; do
            [ "$try" -lt "$TRIES" ] || start_again "${pair%%:*} would not be reset: $WHY"
            try=$((try + 1))
            sleep "$STEP_S"
        done
    done
}

# Reset one disk: DISK SNAPSHOT. Sets UNHEARD=no where an order may have been heard though it failed.
reset() {
    UNHEARD=yes
    try=1
    until order ResetDisk --DiskId "$1" --SnapshotId "$2"; do
        is_refused || UNHEARD=no
        [ "$try" -lt "$TRIES" ] || return 1
        try=$((try + 1))
        sleep "$STEP_S"
        if [ "$UNHEARD" = no ]; then
            case $(disk "$1") in 'ReIniting|'*) return 0 ;; esac
        fi
    done
}

reset_all() {
    [ "$(status)" = Stopped ] || start_again "$INSTANCE is not Stopped any more"
    for pair in $PAIRS; do
        say "Resetting ${pair%%:*} to ${pair#*:}"
        STAGE=resetting
        if ! reset "${pair%%:*}" "${pair#*:}"; then
            if [ -z "$DONE" ] && [ "$UNHEARD" = yes ]; then
                start_again "${pair%%:*} was not reset: $WHY"
            fi
            fail "${pair%%:*} was not reset: $WHY"
        fi
        DONE="$DONE $pair"
        REST=${REST#"$pair"}
        REST=${REST# }
    done
    STAGE=reset
}

settle() {
    sleep "$STEP_S" # a list may show late that a reset has begun
    settled || fail "not seen to be done:$OPEN"
    [ -z "$OPEN" ] || fail "could not be reset:$OPEN"
}

start() {
    STAGE=whole
    say "Starting $INSTANCE"
    try=1
    WHY=
    until order StartInstance --InstanceId "$INSTANCE"; do
        [ "$try" -lt "$TRIES" ] || break
        try=$((try + 1))
        sleep "$STEP_S"
        [ "$(status)" != Running ] || break
    done
    await Running "$START_STEPS" || fail "$INSTANCE does not come to Running. $WHY"
}

case ${1-} in
'' | --yes) ;;
--help)
    sed -n '2,/^# begin/{/^# begin/d;s/^# \{0,1\}//p;}' "$0"
    exit 0
    ;;
*)
    told "usage: sh $0 [--yes | --help]"
    exit 2
    ;;
esac
command -v aliyun >/dev/null || {
    told "There is no aliyun command here: https://github.com/aliyun/aliyun-cli"
    exit 2
}
WORK=$(mktemp -d) || exit 2
trap 'rm -rf "$WORK"' EXIT
trap 'told "Ended by a signal."; leave' HUP INT TERM

check
agree "$@"
stop
rehearse
reset_all
settle
start
say "Done: $INSTANCE runs, back at run $RUN:$DONE"
