import { ProxyHealth } from '../../src/servers/proxy-health';

const staleAfterMs = 60_000;

test('before anything it is well and has no families', () => {
  const health = new ProxyHealth(() => staleAfterMs);
  expect(health.health(1000)).toEqual({ healthy: true, lastUpdatedMs: undefined, families: {} });
});

test('a family appears with its first update', () => {
  const health = new ProxyHealth(() => staleAfterMs);
  health.queuedUpdate('IPv6', 1);
  health.updated('IPv4', 5);
  expect(health.health(10)).toEqual({
    healthy: true,
    lastUpdatedMs: 5,
    families: { IPv4: { lastUpdatedMs: 5, healthy: true } },
  });
});

test('no changes are no illness, however long', () => {
  const health = new ProxyHealth(() => staleAfterMs);
  health.updated('IPv4', 0);
  expect(health.health(1e9).healthy).toBe(true);
});

test('the oldest update that waits counts, until it is in force', () => {
  const health = new ProxyHealth(() => staleAfterMs);
  health.updated('IPv4', 0);
  health.queuedUpdate('IPv4', 1000);
  health.queuedUpdate('IPv4', 50_000);
  expect(health.health(60_999).healthy).toBe(true);
  expect(health.health(61_000).healthy).toBe(false);
  health.updated('IPv4', 61_001);
  expect(health.health(61_002)).toMatchObject({ healthy: true, lastUpdatedMs: 61_001 });
  health.queuedUpdate('IPv4', 70_000);
  expect(health.health(129_999).healthy).toBe(true);
});

test('one family that is ill makes the proxy ill', () => {
  const health = new ProxyHealth(() => staleAfterMs);
  health.updated('IPv4', 0);
  health.updated('IPv6', 10);
  health.queuedUpdate('IPv6', 20);
  expect(health.health(60_020)).toEqual({
    healthy: false,
    lastUpdatedMs: 10,
    families: { IPv4: { lastUpdatedMs: 0, healthy: true }, IPv6: { lastUpdatedMs: 10, healthy: false } },
  });
});

test.each([
  [undefined, false],
  [{ leaving: true }, false],
  [{ leaving: false }, true],
])('a node that is %j: eligible %p', (node, eligible) => {
  const health = new ProxyHealth(() => staleAfterMs);
  expect(health.nodeEligible()).toBe(false);
  health.setNode({ leaving: false });
  health.setNode(node);
  expect(health.nodeEligible()).toBe(eligible);
});
