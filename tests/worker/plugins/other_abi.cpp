// A plug-in that was built against other headers.
extern "C" int tensorvisor_plugin_abi() { return 4711; }
extern "C" void tensorvisor_plugin_register(void*) {}
