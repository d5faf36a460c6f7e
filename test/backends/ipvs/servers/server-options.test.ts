import { parseServerOptions, printServerOptions } from '../../../../src/backends/ipvs/servers/server-options';

describe('options of a virtual server', () => {
  test.each([
    '-s rr',
    '-s wrr -p 10800',
    '-s sh -b sh-fallback',
    '-s mh -p 60 -b mh-fallback,mh-port',
    '-s lc -b flag-3',
  ])('parsed and printed: %s', (text) => {
    expect(printServerOptions(parseServerOptions(text))).toBe(text);
  });

  test('flags are of the kernel', () => {
    expect(parseServerOptions('-s sh -b sh-port')).toEqual({ scheduler: 'sh', persistenceSeconds: 0, flags: 0x10 });
    expect(parseServerOptions('-s mh -b mh-fallback')).toMatchObject({ flags: 0x8 });
  });

  test('the order of flags is ipvsadm’s, whatever it was', () => {
    expect(printServerOptions(parseServerOptions('-s sh -b sh-port,sh-fallback'))).toBe('-s sh -b sh-fallback,sh-port');
  });

  test('what only others set is told', () => {
    const foreign = { scheduler: 'rr', persistenceSeconds: 300, persistenceMask: '255.255.255.0', flags: 0x4 };
    expect(printServerOptions(foreign)).toBe('-s rr -p 300 -M 255.255.255.0 -o');
    expect(parseServerOptions(printServerOptions(foreign))).toEqual(foreign);
  });

  test.each(['', 'rr', '-s rr -x', '-s sh -b nonsense', '-s rr -p'])('refused: %j', (text) => {
    expect(() => parseServerOptions(text)).toThrow(TypeError);
  });
});
