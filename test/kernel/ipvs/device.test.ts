import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../../support/network-namespace';

const guest = join(__dirname, 'device.guest.ts');

describe.each([
  ['by netlink', [], /AddressError: ff02::9: EADDRNOTAVAIL$/],
  ['by ip, without the addon', ['without-addon'], /CommandError: ip: .*Cannot assign requested address$/],
])('%s', (_, args, refusal) => {
  describeAsRoot('kube-ipvs0 and the node', () => {
    let told: { device: Record<string, unknown>; settings: unknown };
    beforeAll(async () => {
      told = (await runInNetworkNamespace(guest, ...args)) as typeof told;
    }, 240_000);

    test('the device is a dummy that is down, and its addresses have the full prefix length', () => {
      expect(told.device).toMatchObject({ isDown: true, isDummy: true });
      expect(told.device['lines']).toEqual([
        expect.stringMatching(/^kube-ipvs0 inet 10\.96\.0\.1\/32 scope global kube-ipvs0/),
        expect.stringMatching(/^kube-ipvs0 inet 10\.96\.0\.10\/32 scope global kube-ipvs0/),
        'kube-ipvs0 inet6 fd96::10/128 scope global nodad',
        'kube-ipvs0 inet6 fd96::1/128 scope global nodad',
      ]);
    });

    test('what was bound is read, apart from the link-local address of a device that somebody set up', () => {
      expect(told.device).toMatchObject({
        withoutDevice: [[], []],
        bound: [
          ['10.96.0.1', '10.96.0.10'],
          ['fd96::1', 'fd96::10'],
        ],
        left: [['10.96.0.1'], ['fd96::1']],
      });
    });

    test("the node's own addresses are those of the other interfaces, without loopback and link-local IPv6", () => {
      expect(told.device['nodeAddresses']).toEqual(['169.254.20.10', '192.168.88.11', 'fd00::11']);
    });

    test('an address that is refused is reported, and the others are bound all the same', () => {
      expect(told.device['refused']).toMatch(refusal);
      expect(told.device['afterRefusal']).toEqual([['10.96.0.1'], ['fd96::1', 'fd96::3', 'fd96::4']]);
    });

    test('hundreds are added and removed, and finally the device', () => {
      expect(told.device['most']).toBe(700);
      expect(told.device['last']).toEqual([
        ['10.96.0.0', '10.96.0.1'],
        ['fd96::1', 'fd96::3', 'fd96::4'],
      ]);
      expect(told.device['isGone']).toBe(true);
    });

    test('sysctls are written once', () => {
      expect(told.settings).toEqual({ written: 6, writtenAgain: 0, values: ['1', '1', '1', '1', '1', '2'] });
    });
  });
});
