# What the cases share: a call by pppd, and mail by curl. They source it.
# The modem is ttyS1. Whatever must be waited for is read from the queue, into
# which pppd's end and its ip-up script write a line each.

queue=/run/queue
[ -p $queue ] || mkfifo $queue
exec 3<>$queue

# say WORD...: a result for the test.
say() { echo "@say $*"; }

# ask WORD...: tells the test where we are and waits until it says go on.
ask() {
    echo "@ask $*"
    read -r _
}

# next: what happened next to the call: "up LOCAL REMOTE" or "exit STATUS".
next() {
    # shellcheck disable=SC3045 # busybox's ash has it
    read -r -t 150 event <&3 || event="exit never"
}

# dial NUMBER OPTION...: calls and waits until IP is up; otherwise shows what
# pppd wrote, says its exit status and fails. The options are pppd's.
dial() {
    number=$1
    shift
    cat >/tmp/dial.chat <<EOF
ABORT BUSY
ABORT "NO CARRIER"
ABORT "NO ANSWER"
ABORT ERROR
TIMEOUT 10
"" ATZ
OK ATE0S12=20
OK ATDT$number
TIMEOUT 90
CONNECT "\\c"
EOF
    # QEMU does not carry DTR to the modem; the escape sequence stands for its
    # drop. It is no command to a modem that has hung up already, hence no OK.
    cat >/tmp/hangup.chat <<'EOF'
TIMEOUT 2
"" "\d+++\d\c"
OK-ATH0-OK ATH0
OK ""
EOF
    : >/tmp/ppp.log
    # Else the tty sends the modem's echo back to it, for ever.
    stty -F /dev/ttyS1 115200 raw -echo crtscts
    (
        pppd /dev/ttyS1 115200 nodetach local crtscts asyncmap 0 noauth noipdefault \
            defaultroute usepeerdns lcp-echo-interval 20 debug logfile /tmp/ppp.log \
            connect "chat -v -s -f /tmp/dial.chat" \
            disconnect "chat -v -s -f /tmp/hangup.chat" "$@" </dev/null >/tmp/ppp.out 2>&1
        echo "exit $?" >$queue
    ) &
    next
    case $event in
    up*)
        # As Debian's own ip-up.d does with what usepeerdns brought.
        cp /etc/ppp/resolv.conf /etc/resolv.conf
        say "$event"
        ;;
    *)
        cat /tmp/ppp.log
        say "$event"
        return 1
        ;;
    esac
}

# gone: waits for the end of the call, whoever brings it about.
gone() {
    next
    cat /tmp/ppp.log
    say "$event"
}

# hangup: ends the call from here.
hangup() {
    kill "$(cat /var/run/ppp0.pid)"
    gone
}

# hold HOST PORT FILE PATTERN: sends FILE on a TCP connection, waits for the
# reply, and leaves the connection open.
hold() {
    : >/tmp/held
    { cat "$3"; sleep 600; } | nc "$1" "$2" >/tmp/held &
    until grep -q "$4" /tmp/held; do usleep 100000; done
}

# vanish: what a computer does whose plug is pulled: pppd says nothing more
# and DTR drops.
vanish() {
    kill -KILL "$(cat /var/run/ppp0.pid)"
    next
    stty -F /dev/ttyS1 115200 raw -echo crtscts
    chat -s -f /tmp/hangup.chat </dev/ttyS1 >/dev/ttyS1 2>/dev/null
    killall -q nc sleep
}

# checksum FILE: name, size and SHA-256.
checksum() {
    echo "${1##*/} $(stat -c %s "$1") $(sha256sum <"$1" | cut -d ' ' -f 1)"
}

sums() {
    for file in "$@"; do say "sum $(checksum "$file")"; done
}

# reread HOST NUMBER LOGIN: reads a message in a session of its own and leaves
# it where it is.
reread() {
    curl -sS --max-time 60 -K "$3" -o /tmp/again "pop3://$1/$2" && say "reread $(checksum /tmp/again)"
}

# fetch HOST COUNT LOGIN: in one POP3 session reads messages 1..COUNT and then
# deletes them. LOGIN is a curl configuration with the user's name and password.
fetch() {
    rm -rf /tmp/inbox
    mkdir /tmp/inbox
    : >/tmp/fetch
    for n in $(seq "$2"); do
        printf 'url = pop3://%s/%s\noutput = /tmp/inbox/%s\n' "$1" "$n" "$n"
        cat "$3"
        echo next
    done >>/tmp/fetch
    for n in $(seq "$2"); do
        # list-only: the reply to DELE is one line, no message follows.
        printf 'url = pop3://%s/%s\noutput = /dev/null\nrequest = DELE\nlist-only\n' "$1" "$n"
        cat "$3"
        [ "$n" = "$2" ] || echo next
    done >>/tmp/fetch
    curl -sS --connect-timeout 60 --max-time 300 -K /tmp/fetch
    say "pop3 $?"
    sums /tmp/inbox/*
}

# uidls HOST LOGIN: what UIDL lists, a line each.
uidls() {
    curl -sS --max-time 60 -K "$2" -X UIDL "pop3://$1/" >/tmp/uidls
    say "pop3 $?"
    tr -d '\r' </tmp/uidls | while read -r number uid; do [ -z "$uid" ] || say "uid $number $uid"; done
}

# submit URL LOGIN FROM TO FILE...: sends messages with AUTH, all in one SMTP
# session, each after the reply to the one before.
submit() {
    url=$1 login=$2 from=$3 to=$4
    shift 4
    : >/tmp/submit
    separator=
    for file in "$@"; do
        echo "$separator"
        separator=next
        printf 'url = %s\nmail-from = %s\nmail-rcpt = %s\nupload-file = %s\n' "$url" "$from" "$to" "$file"
        cat "$login"
    done >>/tmp/submit
    curl -sS --connect-timeout 60 --max-time 300 -K /tmp/submit
    say "smtp $?"
}
