# SPDX-License-Identifier: LGPL-2.1-or-later
# Hashes of arrays of strings: built, sorted, thinned out, built again.
use strict;
use warnings;

my $count = shift;
my $x = 12345;
sub next_number { $x = ($x * 1103515245 + 12345) & 0x7fffffff; return $x; }

my (%by_name, @all);
for my $i (1 .. $count) {
	my $n = next_number();
	my $record = { id => $i, name => sprintf("item-%08x", $n), list => [ map { $n % ($_ + 7) } 1 .. 8 ], text => "t" x ($n % 300) };
	$by_name{$record->{name}} = $record;
	push @all, $record if $n % 2;
}
print scalar(keys %by_name), " ", scalar(@all), "\n";
my $sum = 0;
for my $name (sort keys %by_name) {
	$sum = ($sum * 31 + $by_name{$name}{id} + length $by_name{$name}{text}) % 1000000007;
}
print "$sum\n";
select undef, undef, undef, 0.2;
@all = ();
for my $name (sort keys %by_name) { delete $by_name{$name} if next_number() % 3; }
print scalar(keys %by_name), "\n";
my $joined = join ",", map { "$_=$by_name{$_}{text}" } sort keys %by_name;
print length($joined), " ", unpack("%32C*", $joined), "\n";
my @words = split /[,=]/, $joined;
my %seen;
$seen{$_}++ for @words;
print scalar(@words), " ", scalar(keys %seen), "\n";
$joined =~ s/t{50}/T/g;
print length($joined), " ", unpack("%32C*", $joined), "\n";
