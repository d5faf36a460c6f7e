import { judgeInput } from '../../src/machine/check-input';

const jumps = '-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER';

test('an open INPUT, and one whose policy is DROP, are fine', () => {
  expect(judgeInput('IPv4', `-P INPUT ACCEPT\n${jumps}\n`)).toMatchObject({ level: 'ok', what: 'IPv4: open' });
  expect(judgeInput('IPv6', `-P INPUT DROP\n${jumps}\n-A INPUT -i lo -j ACCEPT\n`)).toMatchObject({
    level: 'ok',
    what: 'IPv6: policy DROP; NodePorts and VIPs are let in',
  });
});

test('rules that keep packets out are named, with what to use instead', () => {
  const dropping = '-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 30000:32767 -j DROP';
  const rejecting = '-A INPUT -j REJECT --reject-with icmp-host-prohibited';
  expect(judgeInput('IPv4', `-P INPUT ACCEPT\n${jumps}\n${dropping}\n`)).toMatchObject({
    level: 'warn',
    what: expect.stringContaining(
      `a rule that keeps packets out does not hold for NodePorts and VIPs, which are let in before: ${dropping}`,
    ) as unknown,
    todo: expect.stringContaining('loadBalancerSourceRanges') as unknown,
  });
  expect(judgeInput('IPv4', [dropping, rejecting].join('\n')).what).toContain('2 rules');
});
