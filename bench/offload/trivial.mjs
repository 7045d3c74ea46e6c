// The job of the peers: Piscina and tinypool call the default export.
export default (value) => value;
export const same = (value) => value;
export const spin = () => {
  for (;;);
};
