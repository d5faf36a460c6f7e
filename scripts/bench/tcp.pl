#!/usr/bin/perl
# Both ends of the measured connections. They use TCP, except for refused ones. This is Perl because every Debian has it, and its connect
# takes microseconds; the time that Node.js takes would hide the kernel's.
#   serve PORT                       sends each client the address that it reached, until the process is ended
#   watch ADDRESS PORT INTERVAL_MS   opens a connection at each interval; at SIGTERM it prints lines of "began ended answer", with times
#                                    in milliseconds of CLOCK_MONOTONIC
#   connect ROUNDS ADDRESS PORT ...  connects to each target once per round, over UDP if PORT ends in u; prints a line of microseconds per
#                                    target, negative where the connection failed
use strict;
use warnings;
use Errno;
use Socket qw(:DEFAULT IPPROTO_TCP IPPROTO_UDP);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC usleep);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# The socket is reset on close, so that it leaves no TIME_WAIT here and no long-lived entry in conntrack.
sub open_socket {
    socket(my $socket, PF_INET, SOCK_STREAM, IPPROTO_TCP) or die "socket: $!";
    setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) or die "linger: $!";
    return $socket;
}

sub open_udp {
    socket(my $socket, PF_INET, SOCK_DGRAM, IPPROTO_UDP) or die "socket: $!";
    setsockopt($socket, SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', 1, 0)) or die "timeout: $!";
    return $socket;
}

# Refusals use UDP. Within one machine the ICMP answer arrives while a TCP socket is still in connect, and the socket would not notice
# it until its next SYN.
sub refused {
    my ($socket, $to) = @_;
    connect($socket, $to) && defined(syswrite($socket, '?')) or return 0;
    return !defined(sysread($socket, my $answer, 1)) && $!{ECONNREFUSED};
}

my ($command, @args) = @ARGV;
if ($command eq 'serve') {
    socket(my $server, PF_INET, SOCK_STREAM, IPPROTO_TCP) or die "socket: $!";
    setsockopt($server, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($server, sockaddr_in($args[0], INADDR_ANY)) && listen($server, 4096) or die "listen: $!";
    $SIG{PIPE} = 'IGNORE';
    syswrite(STDOUT, "ready\n");
    while (1) {
        accept(my $client, $server) or next;
        my $name = getsockname($client) or next;
        syswrite($client, inet_ntoa((sockaddr_in($name))[1]));
    }
} elsif ($command eq 'watch') {
    my ($address, $port, $interval) = @args;
    my $to = sockaddr_in($port, inet_aton($address));
    my ($ending, @lines) = (0);
    $SIG{TERM} = sub { $ending = 1 };
    syswrite(STDOUT, "ready\n");
    my $next = now();
    while (!$ending) {
        my $socket = open_socket();
        my $began = now();
        my $answer = '';
        if (connect($socket, $to)) { sysread($socket, $answer, 64); $answer ||= 'closed' }
        else { $answer = 'failed' }
        # The signal may have interrupted this connection.
        last if $ending;
        push @lines, sprintf("%.3f %.3f %s\n", $began * 1000, now() * 1000, $answer);
        close($socket);
        $next += $interval / 1000;
        my $wait = $next - now();
        if ($wait > 0) { usleep($wait * 1e6) } else { $next = now() }
    }
    print @lines;
} elsif ($command eq 'connect') {
    my $rounds = shift @args;
    my @targets;
    while (@args) {
        my ($address, $port) = splice(@args, 0, 2);
        my $is_udp = $port =~ s/u$//;
        push @targets, [ $is_udp, scalar sockaddr_in($port, inet_aton($address)) ];
    }
    my @times = map { [] } @targets;
    for my $round (1 .. $rounds) {
        # The order alternates, because the second of two targets profits from what the first one left in the CPU caches.
        for my $i ($round % 2 ? (0 .. $#targets) : reverse(0 .. $#targets)) {
            my ($is_udp, $to) = @{ $targets[$i] };
            my $socket = $is_udp ? open_udp() : open_socket();
            my $began = now();
            my $done = $is_udp ? refused($socket, $to) : connect($socket, $to);
            my $took = now() - $began;
            push @{ $times[$i] }, sprintf('%s%.1f', $done ? '' : '-', $took * 1e6);
            close($socket);
        }
    }
    print join(' ', @$_), "\n" for @times;
} else {
    die "unknown command\n";
}
