#!/usr/bin/perl
# Times the tool alone. Usage: calls.pl TOOL4 TOOL6 FILE... runs a tool once for each FILE, with the file as its standard input: TOOL4 for
# a name that ends in .4, TOOL6 for .6. A tool is a command with its arguments, as one word. Prints a line with the milliseconds of each
# call, and a line with the milliseconds of CPU time of all calls.
use strict;
use warnings;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($tool4, $tool6, @files) = @ARGV;
my @took;
for my $file (@files) {
    my $began = clock_gettime(CLOCK_MONOTONIC);
    my $child = fork() // die "fork: $!";
    if ($child == 0) {
        open(STDIN, '<', $file) or die "$file: $!";
        exec(split(' ', $file =~ /6$/ ? $tool6 : $tool4));
        die "exec: $!";
    }
    waitpid($child, 0);
    die "$file: exit $?\n" if $?;
    push @took, sprintf('%.3f', (clock_gettime(CLOCK_MONOTONIC) - $began) * 1000);
}
my (undef, undef, $user, $system) = times();
print "@took\n", ($user + $system) * 1000, "\n";
