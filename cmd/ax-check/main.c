/* ax-check - the independent checker. See man/ax-check.1. */
int main(void)
{
    return 70;
}
