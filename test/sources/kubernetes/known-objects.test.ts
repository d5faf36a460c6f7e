import { KnownObjects } from '../../../src/sources/kubernetes/known-objects';

describe('KnownObjects', () => {
  it('takes news and leaves what it knows already, or knows better', () => {
    const known = new KnownObjects();
    expect(known.set('shop/cart', '9')).toBe(true);
    expect(known.set('shop/cart', '9')).toBe(false);
    expect(known.set('shop/cart', '10')).toBe(true);
    expect(known.set('shop/cart', '9')).toBe(false);
    expect(known.delete('shop/cart', '9')).toBe(false);
    expect(known.delete('shop/cart', '11')).toBe(true);
    expect(known.delete('shop/cart', '11')).toBe(false);
  });

  it('does not bring back what was deleted later, and does what was made anew', () => {
    const known = new KnownObjects();
    known.set('shop/cart', '5');
    known.delete('shop/cart', '7');
    expect(known.set('shop/cart', '6')).toBe(false);
    expect(known.set('shop/cart', '8')).toBe(true);
  });

  it('believes a list that is older, as after a restored backup', () => {
    const known = new KnownObjects();
    known.set('shop/cart', '900');
    expect(known.list('shop/cart', '900')).toBe(false);
    expect(known.list('shop/cart', '30')).toBe(true);
    expect(known.set('shop/cart', '31')).toBe(true);
  });

  it('remembers no deletion from before a list', () => {
    const known = new KnownObjects();
    known.set('shop/cart', '900');
    known.delete('shop/cart', '901');
    known.listed();
    expect(known.set('shop/cart', '30')).toBe(true);
  });

  it('takes the same version as news once versions went back', () => {
    const known = new KnownObjects();
    known.list('shop/cart', '900');
    known.distrust();
    expect(known.list('shop/cart', '900')).toBe(true);
    expect(known.list('shop/cart', '900')).toBe(false);
  });

  it('compares versions beyond 2^53, and takes those that are no numbers as they come', () => {
    const known = new KnownObjects();
    known.set('a/a', '9007199254740993');
    expect(known.set('a/a', '9007199254740992')).toBe(false);
    known.set('b/b', 'zz');
    expect(known.set('b/b', 'aa')).toBe(true);
    known.set('c/c', '');
    expect(known.set('c/c', '')).toBe(true);
  });
});
